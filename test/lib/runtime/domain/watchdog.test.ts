import { pino } from 'pino';
import { expect, it } from 'vitest';
import { Places } from '../../../../lib/runtime/edges/places.ts';
import { Watchdog } from '../../../../lib/runtime/domain/watchdog.ts';

it('says once which place is full when no turn has made room for half a minute', () => {
  const lines: string[] = [];
  const places = new Places();
  const place = places.make({ name: 'reviews.inputs', max: 2 });
  let moves = 0;
  const watchdog = new Watchdog({
    places,
    operators: [],
    logger: pino({}, { write: (line: string) => void lines.push(line) }),
    moves: () => moves,
  });
  const looks = (...seconds: readonly number[]): number => {
    for (const each of seconds) watchdog.look(each * 1000);
    return lines.length;
  };
  expect(looks(0, 60, 120)).toBe(0); // Idle, and nothing is full.
  place.add(2);
  expect(looks(121, 149)).toBe(0);
  moves += 1;
  expect(looks(151, 180)).toBe(0); // A turn has come in between.
  expect(looks(182, 200, 300)).toBe(1);
  expect(lines[0]).toContain('reviews.inputs (2 of 2)');
  moves += 1;
  expect(looks(301, 332)).toBe(2); // It moved, and stands again.
});
