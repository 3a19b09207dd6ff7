import type { FieldType } from './model.ts';

/** How a type of field is written, read and defaulted in generated code. */
export interface ValueCode {
  readonly type: string;
  /** Default as an expression; undefined for messages, which have none. */
  readonly zero: string | undefined;
  readonly wireType: number;
  /** Repeated values share one length-prefixed field. */
  readonly packable: boolean;
  read(): string;
  /** A statement that writes the value after its tag. */
  write(value: string): string;
  /** A condition: the value is not the default. */
  isSet(value: string): string;
}

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

function number(wireType: number, read: string, write: string): ValueCode {
  return {
    type: 'number',
    zero: '0',
    wireType,
    packable: true,
    read: () => `reader.${read}()`,
    write: (value) => `writer.${write}(${value});`,
    isSet: (value) => `${value} !== 0`,
  };
}

/** -0 is not the default of a floating point field. */
function floating(wireType: number, name: string): ValueCode {
  return { ...number(wireType, name, name), isSet: (value) => `!Object.is(${value}, 0)` };
}

const SCALARS: Readonly<Record<string, ValueCode>> = {
  double: floating(FIXED64, 'double'),
  float: floating(FIXED32, 'float'),
  int32: number(VARINT, 'int32', 'signed32'),
  uint32: number(VARINT, 'uint32', 'unsigned32'),
  sint32: number(VARINT, 'sint32', 'zigzag32'),
  fixed32: number(FIXED32, 'fixed32', 'unsignedFixed32'),
  sfixed32: number(FIXED32, 'sfixed32', 'signedFixed32'),
  int64: number(VARINT, 'signed64', 'signed64'),
  uint64: number(VARINT, 'unsigned64', 'unsigned64'),
  sint64: number(VARINT, 'zigzag64', 'zigzag64'),
  fixed64: number(FIXED64, 'unsignedFixed64', 'unsignedFixed64'),
  sfixed64: number(FIXED64, 'signedFixed64', 'signedFixed64'),
  bool: {
    ...number(VARINT, 'bool', 'bool'),
    type: 'boolean',
    zero: 'false',
    isSet: (value) => value,
  },
  string: {
    ...number(LENGTH, 'text', 'text'),
    type: 'string',
    zero: "''",
    packable: false,
    isSet: (value) => `${value} !== ''`,
  },
  bytes: {
    ...number(LENGTH, 'blob', 'bytes'),
    type: 'Uint8Array',
    zero: 'emptyBytes',
    packable: false,
    isSet: (value) => `${value}.length > 0`,
  },
};

export function scalarCode(name: string): ValueCode {
  const code = SCALARS[name];
  if (code === undefined) throw new Error(`unknown scalar type ${name}`);
  return code;
}

/** Types of other files are reached through their codec, those of the same file through their functions. */
export interface Scope {
  readonly file: string;
}

export function readFunction(scope: Scope, reference: { readonly name: string; readonly file: string }): string {
  return reference.file === scope.file ? `read${reference.name}` : `${reference.name}.read`;
}

export function writeFunction(scope: Scope, reference: { readonly name: string; readonly file: string }): string {
  return reference.file === scope.file ? `write${reference.name}` : `${reference.name}.write`;
}

export function valueCode(scope: Scope, type: FieldType): ValueCode {
  if (type.kind === 'scalar') return scalarCode(type.scalar);
  const name = type.reference.name;
  if (type.kind === 'enum')
    return {
      ...scalarCode('int32'),
      type: name,
      zero: `${name}.${type.zero}`,
    };
  return {
    type: name,
    zero: undefined,
    wireType: LENGTH,
    packable: false,
    read: () => `reader.message(${readFunction(scope, type.reference)})`,
    write: (value) => `writer.fork(); ${writeFunction(scope, type.reference)}(${value}, writer); writer.ldelim();`,
    isSet: (value) => `${value} !== undefined`,
  };
}
