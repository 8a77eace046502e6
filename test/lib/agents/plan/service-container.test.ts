/** Services: the container as users see it, who waits for inversify and who does not, and which resources it holds. */
import { inject, type Container } from 'inversify';
import { expect, it } from 'vitest';
import { agent, Agent } from '../../../../lib/agents/definition/agent.ts';
import { Action } from '../../../../lib/agents/definition/decorators.ts';
import { InputEvent } from '../../../../lib/agents/events/event.ts';
import { JobResources, resourceToken } from '../../../../lib/agents/plan/resources.ts';
import { makeContainer, type ConfigureServices } from '../../../../lib/agents/plan/service-container.ts';

class Bank {
  readonly name: string = 'bank';
}

it('takes what is written for the container of inversify itself, and refuses what is for something else', async () => {
  const full: ConfigureServices = (container: Container) =>
    void container.bind(Bank).toSelf().whenAnyAncestorNamed('x');
  // @ts-expect-error a list is no container
  const wrong: ConfigureServices = (container: string[]) => void container.push('x');
  expect([full, wrong]).toHaveLength(2);
  const named = await makeContainer();
  named.bind(Bank).toSelf().inSingletonScope().whenNamed('mine');
  named.bind<string>('motto').toDynamicValue((context) => `${context.get<number>('n')}`);
  named.bind<number>('n').toConstantValue(7);
  const text: string = named.get<string>('motto');
  expect(text).toBe('7');
  expect(await makeContainer(named).then((child) => child.getAsync<string>('motto'))).toBe('7');
  expect(named.isBound('other')).toBe(false);
});

it('gives an agent with parameters the resources of the job and its own, also without any service', async () => {
  class Asking extends Agent<number, number> {
    readonly parts: readonly unknown[];
    constructor(
      @inject(resourceToken('store', 'near')) near: unknown,
      @inject(resourceToken('store', 'far')) far: unknown,
    ) {
      super();
      this.parts = [near, far];
    }
    @Action(InputEvent) act(): void {}
  }
  const job = new JobResources().add('store', 'near', 'job near').add('store', 'far', 'job far');
  // Opened first, so that the container is made when the job's resources have long been there.
  const plain = await job.open(agent<number, number>('plain').on(InputEvent, () => {}));
  const asking = await job.open(Asking);
  expect(plain.open.get('store', 'far')).toBe('job far');
  expect(asking.open.get('store', 'near')).toBe('job near');
  expect(asking.plan.agentName).toBe('Asking');
  await asking.close();
  await plain.close();
});
