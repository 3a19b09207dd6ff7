import type { FieldModel, MemberModel, MessageModel, OneofModel } from './model.ts';
import { docstring, localName } from './names.ts';
import { readFunction, type Scope, scalarCode, type ValueCode, valueCode, writeFunction } from './scalars.ts';

/** The code of one message: its interface, its three functions and its codec. */
export function emitMessage(message: MessageModel): string {
  const scope: Scope = { file: message.file };
  const { name, members } = message;
  return [
    docstring(message.comment, ''),
    `export interface ${name} extends Message {\n${members.map((member) => propertyOf(scope, member)).join('')}}\n\n`,
    `function create${name}(init?: Partial<${name}>): ${name} {\n${createBody(scope, message)}}\n\n`,
    `function write${name}(message: ${name}, writer: WireWriter): void {\n`,
    '  if (message.$unknown !== undefined) writer.raw(message.$unknown);\n',
    members.map((member) => writeMember(scope, member)).join(''),
    '}\n\n',
    `function read${name}(reader: WireReader): ${name} {\n${readBody(scope, message)}}\n\n`,
    `export const ${name}: Codec<${name}> = `,
    `defineCodec('${message.fullName}', create${name}, write${name}, read${name});\n`,
  ].join('');
}

function keyTypeOf(field: FieldModel): string {
  return field.keyType === 'string' ? 'string' : 'number';
}

function fieldType(scope: Scope, field: FieldModel): string {
  const { type } = valueCode(scope, field.type);
  if (field.shape === 'optional') return `${type} | undefined`;
  if (field.shape === 'repeated') return `readonly ${type}[]`;
  if (field.shape === 'map') return `Readonly<Record<${keyTypeOf(field)}, ${type}>>`;
  return type;
}

function oneofType(scope: Scope, oneof: OneofModel): string {
  const cases = oneof.fields.map(
    (field) => `{ readonly kind: '${field.name}'; readonly value: ${valueCode(scope, field.type).type} }`,
  );
  return `\n    | ${cases.join('\n    | ')}\n    | undefined`;
}

function memberType(scope: Scope, member: MemberModel): string {
  return member.shape === 'oneof' ? oneofType(scope, member) : fieldType(scope, member);
}

function propertyOf(scope: Scope, member: MemberModel): string {
  let comment = member.comment;
  if (member.shape === 'oneof') {
    const cases = member.fields.filter((field) => field.comment).map((field) => `${field.name}: ${field.comment}`);
    comment = [comment, ...cases].filter(Boolean).join('\n');
  }
  return `${docstring(comment, '  ')}  readonly ${member.name}: ${memberType(scope, member)};\n`;
}

/** The default of a member as an expression. */
function zeroOf(scope: Scope, member: MemberModel): string {
  if (member.shape === 'oneof' || member.shape === 'optional') return 'undefined';
  if (member.shape === 'repeated') return 'emptyList';
  if (member.shape === 'map') return 'emptyMap';
  return valueCode(scope, member.type).zero ?? 'undefined';
}

function createBody(scope: Scope, message: MessageModel): string {
  const zeros = message.members.map((member) => `${member.name}: ${zeroOf(scope, member)}`);
  const given = message.members.map((member) => {
    const zero = zeroOf(scope, member);
    return `${member.name}: init.${member.name}${zero === 'undefined' ? '' : ` ?? ${zero}`}`;
  });
  return [
    `  if (init === undefined) return { ${zeros.join(', ')} };\n`,
    `  const message: ${message.name} = {\n${given.map((line) => `    ${line},\n`).join('')}  };\n`,
    '  return init.$unknown === undefined ? message : { ...message, $unknown: init.$unknown };\n',
  ].join('');
}

function tagOf(field: FieldModel, wireType: number): number {
  return field.number * 8 + wireType;
}

function writeTag(field: FieldModel, code: ValueCode): string {
  return `writer.uint32(${tagOf(field, code.wireType)});`;
}

function writeMember(scope: Scope, member: MemberModel): string {
  if (member.shape === 'oneof') {
    const cases = member.fields.map((field) => {
      const code = valueCode(scope, field.type);
      return `    case '${field.name}': ${writeTag(field, code)} ${code.write('choice.value')} break;\n`;
    });
    return `  {\n  const choice = message.${member.name};\n  switch (choice?.kind) {\n${cases.join('')}  }\n  }\n`;
  }
  const code = valueCode(scope, member.type);
  const value = `message.${member.name}`;
  switch (member.shape) {
    case 'single':
      return `  if (${code.isSet(value)}) { ${writeTag(member, code)} ${code.write(value)} }\n`;
    case 'optional':
      return `  if (${value} !== undefined) { ${writeTag(member, code)} ${code.write(value)} }\n`;
    case 'repeated': {
      if (!code.packable)
        return `  for (const value of ${value}) { ${writeTag(member, code)} ${code.write('value')} }\n`;
      const tag = `writer.uint32(${tagOf(member, 2)}).fork();`;
      return `  if (${value}.length > 0) { ${tag} for (const value of ${value}) { ${code.write('value')} } writer.ldelim(); }\n`;
    }
    case 'map':
      return writeMap(member, code);
  }
}

function writeMap(field: FieldModel, code: ValueCode): string {
  const map = `message.${field.name}`;
  const key = scalarCode(field.keyType ?? 'string');
  const isText = keyTypeOf(field) === 'string';
  const keys = isText ? `sortedKeys(${map})` : `sortedNumericKeys(${map})`;
  return [
    `  for (const key of ${keys}) {\n`,
    `    writer.uint32(${tagOf(field, 2)}).fork(); writer.uint32(${8 + key.wireType}); ${key.write('key')}\n`,
    `    const value = ${map}[key] as ${code.type};\n`,
    `    writer.uint32(${16 + code.wireType}); ${code.write('value')} writer.ldelim();\n  }\n`,
  ].join('');
}

function localDeclaration(scope: Scope, member: MemberModel): string {
  const name = localName(member.name);
  if (member.shape === 'repeated') return `  let ${name}: ${valueCode(scope, member.type).type}[] | undefined;\n`;
  if (member.shape === 'map') {
    const { type } = valueCode(scope, member.type);
    return `  let ${name}: Record<${keyTypeOf(member)}, ${type}> | undefined;\n`;
  }
  const zero = zeroOf(scope, member);
  return `  let ${name}: ${memberType(scope, member)}${zero === 'undefined' ? '' : ` = ${zero}`};\n`;
}

function localResult(member: MemberModel): string {
  const name = localName(member.name);
  if (member.shape === 'repeated') return `${member.name}: ${name} ?? emptyList`;
  if (member.shape === 'map') return `${member.name}: ${name} ?? emptyMap`;
  return name === member.name ? name : `${member.name}: ${name}`;
}

function readBody(scope: Scope, message: MessageModel): string {
  const cases = message.members.flatMap((member) =>
    member.shape === 'oneof'
      ? member.fields.map((field) => readChoice(scope, member, field))
      : [readField(scope, member)],
  );
  return [
    message.members.map((member) => localDeclaration(scope, member)).join(''),
    '  let kept: WireWriter | undefined;\n',
    '  while (reader.pos < reader.len) {\n    const start = reader.pos;\n    const tag = reader.tag();\n',
    `    switch (tag) {\n${cases.join('')}`,
    '      default: kept = reader.keep(kept, start, tag);\n    }\n  }\n',
    `  const message: ${message.name} = { ${message.members.map(localResult).join(', ')} };\n`,
    '  return kept === undefined ? message : { ...message, $unknown: kept.toBytes() };\n',
  ].join('');
}

/** Reads an enum value: a known one goes where `accept` says, an unknown one to the unknown fields. */
function readEnum(field: FieldModel, accept: string): string {
  if (field.type.kind !== 'enum') throw new Error(`${field.name} is not an enum`);
  return `const value = reader.int32(); if (is${field.type.reference.name}(value)) ${accept} else kept = `;
}

function readChoice(scope: Scope, oneof: OneofModel, field: FieldModel): string {
  const code = valueCode(scope, field.type);
  const target = localName(oneof.name);
  const label = `      case ${tagOf(field, code.wireType)}:`;
  if (field.type.kind === 'enum') {
    const accept = `${target} = { kind: '${field.name}', value };`;
    return `${label} { ${readEnum(field, accept)}reader.keepSince(kept, start); break; }\n`;
  }
  if (field.type.kind === 'scalar')
    return `${label} ${target} = { kind: '${field.name}', value: ${code.read()} }; break;\n`;
  const { reference } = field.type;
  const merged = `reader.merged(${readFunction(scope, reference)}, ${writeFunction(scope, reference)}, ${target}.value)`;
  return `${label} ${target} = { kind: '${field.name}', value: ${target}?.kind === '${field.name}' ? ${merged} : ${code.read()} }; break;\n`;
}

function readField(scope: Scope, field: FieldModel): string {
  if (field.shape === 'map') return readMap(scope, field);
  if (field.shape === 'repeated') return readRepeated(scope, field);
  const code = valueCode(scope, field.type);
  const target = localName(field.name);
  const label = `      case ${tagOf(field, code.wireType)}:`;
  if (field.type.kind === 'enum')
    return `${label} { ${readEnum(field, `${target} = value;`)}reader.keepSince(kept, start); break; }\n`;
  if (field.type.kind === 'scalar') return `${label} ${target} = ${code.read()}; break;\n`;
  const { reference } = field.type;
  const merged = `reader.merged(${readFunction(scope, reference)}, ${writeFunction(scope, reference)}, ${target})`;
  return `${label} ${target} = ${target} === undefined ? ${code.read()} : ${merged}; break;\n`;
}

function readRepeated(scope: Scope, field: FieldModel): string {
  const code = valueCode(scope, field.type);
  const target = localName(field.name);
  const single = `      case ${tagOf(field, code.wireType)}:`;
  if (!code.packable) return `${single} (${target} ??= []).push(${code.read()}); break;\n`;
  const packed = `      case ${tagOf(field, 2)}:`;
  if (field.type.kind === 'enum') {
    const item = `${readEnum(field, `(${target} ??= []).push(value);`)}reader.keepEnum(kept, ${tagOf(field, 0)}, value);`;
    return `${single} { ${item} break; }\n${packed} { const end = reader.enterPacked(); while (reader.pos < reader.len) { ${item} } reader.leavePacked(end); break; }\n`;
  }
  const list = `const values = (${target} ??= []);`;
  const loop = `while (reader.pos < reader.len) values.push(${code.read()});`;
  return `${single} (${target} ??= []).push(${code.read()}); break;\n${packed} { ${list} const end = reader.enterPacked(); ${loop} reader.leavePacked(end); break; }\n`;
}

function readMap(scope: Scope, field: FieldModel): string {
  const code = valueCode(scope, field.type);
  const target = localName(field.name);
  const key = scalarCode(field.keyType ?? 'string');
  const isText = keyTypeOf(field) === 'string';
  const isEnum = field.type.kind === 'enum';
  const zero =
    field.type.kind === 'message' ? `${code.type}.create()` : isEnum ? `${code.zero} as number` : (code.zero ?? '');
  const store = isText ? `setEntry((${target} ??= {}), key, value);` : `(${target} ??= {})[key] = value;`;
  return [
    `      case ${tagOf(field, 2)}: {\n`,
    `        const end = reader.enterEntry(); let key = ${key.zero}; let value${isEnum ? ': number' : ''} = ${zero};\n`,
    '        while (reader.pos < reader.len) {\n          const tag = reader.tag();\n          switch (tag) {\n',
    `            case ${8 + key.wireType}: key = ${key.read()}; break;\n`,
    `            case ${16 + code.wireType}: value = ${code.read()}; break;\n`,
    '            default: reader.skipType(tag & 7, 0, tag >>> 3);\n          }\n        }\n',
    '        reader.leavePacked(end);\n',
    isEnum ? `        if (is${code.type}(value)) ` : '        ',
    isEnum ? `${store} else kept = reader.keepSince(kept, start);\n` : `${store}\n`,
    '        break;\n      }\n',
  ].join('');
}
