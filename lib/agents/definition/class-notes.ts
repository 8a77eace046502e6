/**
 * What decorators note on classes, kept with reflect-metadata. The polyfill is imported here alone: it changes a
 * global, and inversify's decorators, which need it, find it there once millrace is loaded. Its lite form leaves out
 * what only engines without `Map` need.
 */
import 'reflect-metadata/lite';

/** What a class itself has noted under a key; not what its parents have. */
export const ownNote = (key: symbol, type: object): unknown => Reflect.getOwnMetadata(key, type);

export const note = (key: symbol, type: object, value: unknown): void => Reflect.defineMetadata(key, value, type);

/** The keys under which anybody has noted something on a class or its parents. */
export const noteKeys = (type: object): readonly unknown[] => Reflect.getMetadataKeys(type);
