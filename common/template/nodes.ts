/** The syntax tree of a Go template. */

interface Located {
  /** Offset in the source, where errors point to. */
  readonly position: number;
}

export type Operand =
  | (Located & { readonly kind: 'dot' })
  | (Located & { readonly kind: 'nil' })
  | (Located & { readonly kind: 'bool'; readonly value: boolean })
  | (Located & { readonly kind: 'number'; readonly value: number; readonly isInteger: boolean; readonly text: string })
  | (Located & { readonly kind: 'string'; readonly value: string; readonly text: string })
  | (Located & { readonly kind: 'identifier'; readonly name: string })
  | (Located & { readonly kind: 'field'; readonly path: readonly string[] })
  | (Located & { readonly kind: 'variable'; readonly name: string; readonly path: readonly string[] })
  | (Located & { readonly kind: 'chain'; readonly of: Operand; readonly path: readonly string[] })
  | Pipeline;

export interface Command extends Located {
  readonly kind: 'command';
  readonly operands: readonly [Operand, ...Operand[]];
}

export interface Pipeline extends Located {
  readonly kind: 'pipeline';
  /** Variables that take the value; for `range` up to two. */
  readonly variables: readonly string[];
  /** `=` rather than `:=`. */
  readonly assigns: boolean;
  readonly commands: readonly Command[];
}

export type Statement =
  | (Located & { readonly kind: 'text'; readonly text: string })
  | (Located & { readonly kind: 'action'; readonly pipeline: Pipeline })
  | Branch
  | (Located & { readonly kind: 'template'; readonly name: string; readonly pipeline: Pipeline | undefined })
  | (Located & { readonly kind: 'break' })
  | (Located & { readonly kind: 'continue' });

export interface Branch extends Located {
  readonly kind: 'if' | 'range' | 'with';
  readonly pipeline: Pipeline;
  readonly body: readonly Statement[];
  readonly otherwise: readonly Statement[] | undefined;
}

export type Node = Operand | Command | Statement;

/** The node as source text, for error messages. */
export function nodeText(node: Node): string {
  switch (node.kind) {
    case 'dot':
      return '.';
    case 'nil':
      return 'nil';
    case 'bool':
      return String(node.value);
    case 'number':
    case 'string':
    case 'text':
      return node.text;
    case 'identifier':
      return node.name;
    case 'field':
      return `.${node.path.join('.')}`;
    case 'variable':
      return [node.name, ...node.path].join('.');
    case 'chain':
      return `${inCommand(node.of)}.${node.path.join('.')}`;
    case 'command':
      return node.operands.map(inCommand).join(' ');
    case 'pipeline': {
      const declared = node.variables.length === 0 ? '' : `${node.variables.join(', ')} ${node.assigns ? '=' : ':='} `;
      return declared + node.commands.map(nodeText).join(' | ');
    }
    case 'action':
      return `{{${nodeText(node.pipeline)}}}`;
    case 'template':
      return `{{template ${JSON.stringify(node.name)}${node.pipeline === undefined ? '' : ` ${nodeText(node.pipeline)}`}}}`;
    case 'break':
    case 'continue':
      return `{{${node.kind}}}`;
    case 'if':
    case 'range':
    case 'with': {
      const otherwise = node.otherwise === undefined ? '' : `{{else}}${node.otherwise.map(nodeText).join('')}`;
      return `{{${node.kind} ${nodeText(node.pipeline)}}}${node.body.map(nodeText).join('')}${otherwise}{{end}}`;
    }
  }
}

function inCommand(operand: Operand): string {
  return operand.kind === 'pipeline' ? `(${nodeText(operand)})` : nodeText(operand);
}
