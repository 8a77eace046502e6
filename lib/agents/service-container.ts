/**
 * The container of users' own services, inversify's: all that the engine knows of it. Its types stand here in a form of our own, so that
 * whoever has no services needs no inversify, not even to check types; it is loaded when the first service or the first agent with
 * parameters asks for it.
 */
import type { Container } from 'inversify';
import { loadPackage } from '../core/package-loading.ts';

/** What a service is asked for by: its class, a text or a symbol. */
export type ServiceIdentifier<T = unknown> = string | symbol | (abstract new (...parameters: never[]) => T);

/** What a service is made with: the part of inversify's `ResolutionContext` that there is in every version. */
export interface ServiceContext {
  get<T>(identifier: ServiceIdentifier<T>): T;
  getAsync<T>(identifier: ServiceIdentifier<T>): Promise<T>;
}

/** How a service is made: `container.bind(Bank).toSelf()`. */
export interface ServiceBinding<T> {
  to(type: new (...parameters: never[]) => T): ServiceScope<T>;
  toSelf(): ServiceScope<T>;
  toConstantValue(value: T): ServiceHooks<T>;
  toDynamicValue(make: (context: ServiceContext) => T | Promise<T>): ServiceScope<T>;
  toService(identifier: ServiceIdentifier<T>): void;
}

/** How long a service lives: `container.bind(Bank).toSelf().inSingletonScope()`. */
export interface ServiceScope<T> extends ServiceHooks<T> {
  inSingletonScope(): ServiceHooks<T>;
  inTransientScope(): ServiceHooks<T>;
  inRequestScope(): ServiceHooks<T>;
}

/** What happens to a service when it is made, and when the job ends; and which of several is meant. */
export interface ServiceHooks<T> {
  onActivation(activation: (context: ServiceContext, service: T) => T | Promise<T>): unknown;
  onDeactivation(deactivation: (service: T) => void | Promise<void>): unknown;
  whenNamed(name: string): unknown;
  whenTagged(tag: string, value: unknown): unknown;
}

/**
 * What `env.services` hands over: inversify's `Container`, of which these are the parts that most need. A function that takes a
 * `Container` of inversify is accepted as well.
 */
export interface ServiceContainer {
  bind<T>(identifier: ServiceIdentifier<T>): ServiceBinding<T>;
  get<T>(identifier: ServiceIdentifier<T>): T;
  getAsync<T>(identifier: ServiceIdentifier<T>): Promise<T>;
  isBound(identifier: ServiceIdentifier): boolean;
  /** Takes `ContainerModule`s of inversify. */
  load(...modules: object[]): void;
  loadAsync(...modules: object[]): Promise<void>;
}

/** Adds users' own services to the job's container. Written as a method, so that its parameter may be said to be inversify's own. */
export type ConfigureServices = { configure(container: ServiceContainer): unknown }['configure'];

/** What the engine itself asks of the container. */
export interface OwnContainer extends ServiceContainer {
  unbindAllAsync(): Promise<void>;
}

/** Throws `PACKAGE_MISSING` when inversify is not installed. */
export const makeContainer = async (parent?: OwnContainer): Promise<OwnContainer> => {
  const { Container } = await loadPackage('inversify', 'services', () => import('inversify'));
  return new Container(parent === undefined ? {} : { parent: parent as Container }); // each is made here
};
