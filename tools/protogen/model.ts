import { join } from 'node:path';
import protobuf from 'protobufjs';
import { camelCase, constantPrefix } from './names.ts';

/** The contract as the emitter needs it: protobufjs' reflection, resolved, flattened and checked. */

export interface ProtoFile {
  /** Path below the root, without its ending: `swarm/v1/objects`. */
  readonly name: string;
  readonly messages: readonly MessageModel[];
  readonly enums: readonly EnumModel[];
  readonly services: readonly ServiceModel[];
}

/** A type that generated code names, and the file that it lives in. */
export interface TypeReference {
  readonly name: string;
  readonly file: string;
}

export interface MessageModel extends TypeReference {
  readonly fullName: string;
  readonly comment: string | undefined;
  /** In the order of their first field number. */
  readonly members: readonly MemberModel[];
}

export type MemberModel = FieldModel | OneofModel;

export interface OneofModel {
  readonly shape: 'oneof';
  readonly name: string;
  readonly comment: string | undefined;
  readonly fields: readonly FieldModel[];
}

export interface FieldModel {
  readonly shape: 'single' | 'optional' | 'repeated' | 'map';
  /** Property name, camelCase. */
  readonly name: string;
  readonly number: number;
  readonly type: FieldType;
  /** Only of a map: the scalar type of its keys. */
  readonly keyType: string | undefined;
  readonly comment: string | undefined;
}

export type FieldType =
  | { readonly kind: 'scalar'; readonly scalar: string }
  | { readonly kind: 'enum'; readonly reference: TypeReference; readonly zero: string }
  | { readonly kind: 'message'; readonly reference: TypeReference };

export interface EnumModel extends TypeReference {
  readonly fullName: string;
  readonly comment: string | undefined;
  readonly values: readonly EnumValueModel[];
}

export interface EnumValueModel {
  /** Without the prefix of the enum: `RUNNING` for `TASK_STATE_RUNNING`. */
  readonly name: string;
  readonly number: number;
  readonly comment: string | undefined;
}

export interface ServiceModel {
  readonly name: string;
  readonly fullName: string;
  readonly comment: string | undefined;
  readonly methods: readonly MethodModel[];
}

export interface MethodModel {
  readonly name: string;
  readonly path: string;
  readonly comment: string | undefined;
  readonly request: TypeReference;
  readonly response: TypeReference;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
}

const MAP_KEYS = new Set(['string', 'int32', 'uint32', 'sint32', 'int64', 'uint64', 'sint64']);

/** Reads the given files (paths below `directory`) and everything they import. */
export function loadModel(directory: string, files: readonly string[]): readonly ProtoFile[] {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => (target.startsWith(directory) ? target : join(directory, target));
  root.loadSync(
    files.map((file) => join(directory, file)),
    { keepCase: true, alternateCommentMode: true, preferTrailingComment: false },
  );
  root.resolveAll();
  return new ModelReader(directory).read(root, files);
}

function isSyntheticOneof(oneof: protobuf.OneOf): boolean {
  return oneof.fieldsArray.length === 1 && oneof.fieldsArray[0]?.options?.['proto3_optional'] === true;
}

class ModelReader {
  readonly #directory: string;
  readonly #messages: MessageModel[] = [];
  readonly #enums: EnumModel[] = [];
  readonly #services: (ServiceModel & { readonly file: string })[] = [];

  constructor(directory: string) {
    this.#directory = directory;
  }

  read(root: protobuf.Root, files: readonly string[]): readonly ProtoFile[] {
    this.#namespace(root);
    this.#checkNames();
    return files.map((file) => {
      const name = file.replace(/\.proto$/, '');
      return {
        name,
        messages: this.#messages.filter((message) => message.file === name),
        enums: this.#enums.filter((model) => model.file === name),
        services: this.#services.filter((service) => service.file === name),
      };
    });
  }

  #namespace(namespace: protobuf.NamespaceBase): void {
    for (const child of namespace.nestedArray) {
      if (child instanceof protobuf.Type) {
        this.#messages.push(this.#message(child));
        this.#namespace(child);
      } else if (child instanceof protobuf.Enum) {
        this.#enums.push(this.#enum(child));
      } else if (child instanceof protobuf.Service) {
        this.#services.push({ ...this.#service(child), file: this.#fileOf(child) });
      } else if (child instanceof protobuf.Namespace) {
        this.#namespace(child);
      } else {
        throw new Error(`${child.fullName}: extensions are not part of the contract's language`);
      }
    }
  }

  /** Files become modules of flat names, so a nested type must not meet another of the same joined name. */
  #checkNames(): void {
    const seen = new Set<string>();
    for (const type of [...this.#messages, ...this.#enums, ...this.#services]) {
      const key = `${type.file}:${type.name}`;
      if (seen.has(key)) throw new Error(`${type.fullName}: the name ${type.name} is taken in ${type.file}.proto`);
      seen.add(key);
    }
  }

  #fileOf(object: protobuf.ReflectionObject): string {
    const filename = object.filename;
    if (!filename?.startsWith(`${this.#directory}/`)) throw new Error(`${object.fullName}: not in ${this.#directory}`);
    return filename.slice(this.#directory.length + 1).replace(/\.proto$/, '');
  }

  #reference(type: protobuf.Type | protobuf.Enum): TypeReference {
    let name = type.name;
    for (let parent = type.parent; parent instanceof protobuf.Type; parent = parent.parent) name = parent.name + name;
    return { name, file: this.#fileOf(type) };
  }

  #message(type: protobuf.Type): MessageModel {
    const members: MemberModel[] = [];
    const done = new Set<protobuf.OneOf>();
    const fields = type.fieldsArray.toSorted((left, right) => left.id - right.id);
    for (const field of fields) {
      const oneof = field.partOf;
      if (oneof && !isSyntheticOneof(oneof)) {
        if (done.has(oneof)) continue;
        done.add(oneof);
        const cases = fields.filter((other) => other.partOf === oneof).map((other) => this.#field(other));
        members.push({
          shape: 'oneof',
          name: camelCase(oneof.name),
          comment: oneof.comment ?? undefined,
          fields: cases,
        });
      } else {
        members.push(this.#field(field));
      }
    }
    const names = new Set<string>();
    for (const member of members) {
      if (names.has(member.name) || member.name === 'constructor')
        throw new Error(`${type.fullName}: the name ${member.name} cannot be used`);
      names.add(member.name);
    }
    return {
      ...this.#reference(type),
      fullName: type.fullName.slice(1),
      comment: type.comment ?? undefined,
      members,
    };
  }

  #field(field: protobuf.Field): FieldModel {
    field.resolve();
    const type = this.#fieldType(field);
    const keyType = field instanceof protobuf.MapField ? field.keyType : undefined;
    if (keyType !== undefined && !MAP_KEYS.has(keyType)) throw new Error(`${field.fullName}: map keys of ${keyType}`);
    const isOptional = field.options?.['proto3_optional'] === true || (type.kind === 'message' && !field.repeated);
    const shape = keyType !== undefined ? 'map' : field.repeated ? 'repeated' : isOptional ? 'optional' : 'single';
    return {
      shape,
      name: camelCase(field.name),
      number: field.id,
      type,
      keyType,
      comment: field.comment ?? undefined,
    };
  }

  #fieldType(field: protobuf.Field): FieldType {
    const resolved = field.resolvedType;
    if (resolved instanceof protobuf.Type) return { kind: 'message', reference: this.#reference(resolved) };
    if (!(resolved instanceof protobuf.Enum)) return { kind: 'scalar', scalar: field.type };
    const zero = this.#enum(resolved).values.find((value) => value.number === 0);
    if (zero === undefined) throw new Error(`${resolved.fullName}: no value 0`);
    return { kind: 'enum', reference: this.#reference(resolved), zero: zero.name };
  }

  #enum(type: protobuf.Enum): EnumModel {
    const prefix = constantPrefix(type.name);
    const values = Object.entries(type.values).map(([name, number]) => {
      const short = name.startsWith(prefix) ? name.slice(prefix.length) : name;
      return { name: short, number, comment: type.comments[name] ?? undefined };
    });
    if (new Set(values.map((value) => value.number)).size !== values.length)
      throw new Error(`${type.fullName}: two names for one value`);
    return {
      ...this.#reference(type),
      fullName: type.fullName.slice(1),
      comment: type.comment ?? undefined,
      values,
    };
  }

  #service(service: protobuf.Service): ServiceModel {
    const methods = service.methodsArray.map((method): MethodModel => {
      method.resolve();
      const { resolvedRequestType, resolvedResponseType } = method;
      if (!resolvedRequestType || !resolvedResponseType) throw new Error(`${method.fullName}: unknown message type`);
      return {
        name: camelCase(method.name),
        path: `/${service.fullName.slice(1)}/${method.name}`,
        comment: method.comment ?? undefined,
        request: this.#reference(resolvedRequestType),
        response: this.#reference(resolvedResponseType),
        requestStream: method.requestStream === true,
        responseStream: method.responseStream === true,
      };
    });
    return {
      name: service.name,
      fullName: service.fullName.slice(1),
      comment: service.comment ?? undefined,
      methods,
    };
  }
}
