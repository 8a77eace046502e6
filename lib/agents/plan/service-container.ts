/**
 * The container of users' own services, inversify's: all that the engine knows of it. Its types stand here in a form of
 * our own, so that whoever has no services needs no inversify, not even to check types; it is loaded when the first
 * service or the first agent with parameters asks for it.
 */
import type { Container } from 'inversify';
import { loadPackage } from '../../core/package-loading.ts';

/** What a service is asked for by: its class, a text or a symbol. */
export type ServiceIdentifier<T = unknown> = string | symbol | (abstract new (...parameters: never[]) => T);

/** What a service is made with: the part of inversify's `ResolutionContext` that there is in every version. */
export interface ServiceContext {
  /** Gives another service; throws when it is not bound, or needs to wait. */
  get<T>(identifier: ServiceIdentifier<T>): T;
  /** Gives another service that may have to wait; rejects when it is not bound. */
  getAsync<T>(identifier: ServiceIdentifier<T>): Promise<T>;
}

/** How a service is made: `container.bind(Bank).toSelf()`. */
export interface ServiceBinding<T> {
  /** Makes it of a class, whose parameters are injected. */
  to(type: new (...parameters: never[]) => T): ServiceScope<T>;
  /** Makes it of the class that is its identifier. */
  toSelf(): ServiceScope<T>;
  /** Is this value. */
  toConstantValue(value: T): ServiceHooks<T>;
  /** Makes it by a function, which may ask for other services and may wait. */
  toDynamicValue(make: (context: ServiceContext) => T | Promise<T>): ServiceScope<T>;
  /** Is another service, by its identifier. */
  toService(identifier: ServiceIdentifier<T>): void;
}

/** How long a service lives: `container.bind(Bank).toSelf().inSingletonScope()`. */
export interface ServiceScope<T> extends ServiceHooks<T> {
  /** Made once a job. */
  inSingletonScope(): ServiceHooks<T>;
  /** Made each time that somebody asks. */
  inTransientScope(): ServiceHooks<T>;
  /** Made once for all that one request brings about. */
  inRequestScope(): ServiceHooks<T>;
}

/** What happens to a service when it is made, and when the job ends; and which of several is meant. */
export interface ServiceHooks<T> {
  /** Runs when the service was made; what it gives is used in its place. */
  onActivation(activation: (context: ServiceContext, service: T) => T | Promise<T>): unknown;
  /** Runs when the job is over: closes what the service holds. */
  onDeactivation(deactivation: (service: T) => void | Promise<void>): unknown;
  /** Is meant where `@named(name)` asks for it. */
  whenNamed(name: string): unknown;
  /** Is meant where `@tagged(tag, value)` asks for it. */
  whenTagged(tag: string, value: unknown): unknown;
}

/**
 * What `env.services` hands over: inversify's `Container`, of which these are the parts that most need. A function that
 * takes a `Container` of inversify is accepted as well.
 */
export interface ServiceContainer {
  /** Says what a service is made of. */
  bind<T>(identifier: ServiceIdentifier<T>): ServiceBinding<T>;
  /** Gives a service; throws when it is not bound, or needs to wait. */
  get<T>(identifier: ServiceIdentifier<T>): T;
  /** Gives a service that may have to wait; rejects when it is not bound. */
  getAsync<T>(identifier: ServiceIdentifier<T>): Promise<T>;
  /** Whether a service of that identifier is bound, here or in the container above. */
  isBound(identifier: ServiceIdentifier): boolean;
  /** Takes `ContainerModule`s of inversify. */
  load(...modules: object[]): void;
  /** The same for modules that wait. */
  loadAsync(...modules: object[]): Promise<void>;
}

/**
 * Adds users' own services to the job's container. Written as a method, so that its parameter may be said to be
 * inversify's own.
 */
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
