export { COMPOSE_LIMITS } from './config.ts';
export { type ComposeProject, type ComposeSource, type FileReader, loadProject } from './load.ts';
export { IMAGE_LABEL, NAMESPACE_LABEL } from './names.ts';
export { type Place, placeText, problemText } from './place.ts';
export { type ConvertedStack, declaredName, toStack } from './to-stack.ts';
export { withoutSecretContents, writeYaml } from './write-yaml.ts';
