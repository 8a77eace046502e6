/**
 * Writes reviews.jsonl, the sample input of the examples: 400 product reviews over six days, put together from
 * templates by a seeded generator, so that the file can be made again: `node --import tsx examples/data/generate.ts >
 * examples/data/reviews.jsonl`.
 */

interface Product {
  readonly id: string;
  readonly noun: string;
  /** Share of satisfied buyers. */
  readonly good: number;
  readonly praises: readonly string[];
  readonly complaints: readonly string[];
}

const products: readonly Product[] = [
  {
    id: 'P-1001',
    noun: 'pair of headphones',
    good: 0.55,
    praises: ['the sound is rich and clear', 'they pair in a second', 'the ear cushions are wonderfully soft'],
    complaints: [
      'the battery died after barely two weeks',
      'the left side started to buzz',
      'the headband cracked in the cold',
      'they hurt my ears after an hour',
    ],
  },
  {
    id: 'P-1002',
    noun: 'kettle',
    good: 0.6,
    praises: ['it boils a full litre surprisingly fast', 'the handle stays cool', 'it looks elegant on the counter'],
    complaints: [
      'the water tastes of plastic',
      'it is terribly loud',
      'the lid leaks when I pour',
      'it arrived with a dent in the side',
    ],
  },
  {
    id: 'P-1003',
    noun: 'pair of running shoes',
    good: 0.65,
    praises: ['they are light and springy', 'my feet stayed dry in the rain', 'they fit perfectly from the first run'],
    complaints: [
      'they run at least a size too small',
      'the sole came off and the shop ignored my complaint',
      'they gave me painful blisters',
      'the colour is nothing like the picture, very disappointing',
    ],
  },
  {
    id: 'P-1004',
    noun: 'desk lamp',
    good: 0.7,
    praises: ['the light is warm and easy on the eyes', 'the arm stays exactly where I put it', 'the base feels solid'],
    complaints: [
      'the switch broke within a month',
      'it hums in an annoying way',
      'it is too dim for reading',
      'the parcel came a week late',
    ],
  },
  {
    id: 'P-1005',
    noun: 'rain jacket',
    good: 0.5,
    praises: ['it kept me dry on a stormy hike', 'the pockets are roomy', 'it packs down beautifully small'],
    complaints: [
      'the zip got stuck and then tore',
      'it has an awful chemical smell',
      'the sleeves are too short',
      'water leaks in at the seams',
    ],
  },
  {
    id: 'P-1006',
    noun: 'robot vacuum',
    good: 0.45,
    praises: ['it cleans under the sofa without help', 'the app map is clever', 'pet hair is no problem for it'],
    complaints: [
      'the battery drains before the second room is done',
      'it gets stuck on every rug',
      'the app loses the connection and setup is confusing',
      'it is too loud to have on during a call',
    ],
  },
  {
    id: 'P-1007',
    noun: 'coffee grinder',
    good: 0.75,
    praises: ['the grind is even and smooth', 'it is easy to clean', 'my espresso has improved a lot'],
    complaints: [
      'the motor smells burnt',
      'it jammed twice in the first week',
      'it is so noisy that it wakes the whole house',
      'the glass was broken when it arrived',
    ],
  },
  {
    id: 'P-1008',
    noun: 'yoga mat',
    good: 0.6,
    praises: ['it grips well even when wet', 'it is thick and comfortable', 'the pattern is lovely'],
    complaints: [
      'the rubber smell is horrible',
      'it started to peel after a few classes',
      'it is too narrow for me',
      'it was delivered badly rolled and never lies flat',
    ],
  },
  {
    id: 'P-1009',
    noun: 'phone case',
    good: 0.5,
    praises: ['it saved my phone from a bad fall', 'the buttons click nicely', 'it is slim and feels great'],
    complaints: [
      'it cracked after the first drop',
      'it is too tight to get off again',
      'the white edge became stained and ugly',
      'it looks cheap and scratched from day one',
    ],
  },
  {
    id: 'P-1010',
    noun: 'granola',
    good: 0.7,
    praises: ['it is crunchy and not too sweet', 'the nuts taste fresh', 'the kids love it'],
    complaints: [
      'the bag was torn and half of it lost in the box',
      'it tasted stale',
      'it is overpriced for such a small bag',
      'I found it bland and disappointing',
    ],
  },
  {
    id: 'P-1011',
    noun: 'air purifier',
    good: 0.65,
    praises: ['I sleep better since we have it', 'it is quiet at night', 'the dust is really gone'],
    complaints: [
      'the filter is far too expensive',
      'the fan rattles at high speed',
      'customer service never answered my emails about a faulty sensor',
      'the manual is confusing',
    ],
  },
  {
    id: 'P-1012',
    noun: 'backpack',
    good: 0.8,
    praises: [
      'it holds everything and still looks good',
      'the straps are comfortable all day',
      'the stitching is excellent',
    ],
    complaints: [
      'the strap tore after a month',
      'the laptop pocket is too small',
      'delivery was late and the box was damaged',
      'it smells of glue',
    ],
  },
];

const openers = {
  good: [
    'Very happy with this {noun}.',
    'Great {noun}!',
    'I would buy this {noun} again.',
    'Exactly what I was looking for.',
    'A present for my sister, and she loves it.',
    'Better than I expected.',
    '',
  ],
  bad: [
    'Disappointed with this {noun}.',
    'I wanted to like this {noun}, really.',
    'Not worth the money.',
    'My second {noun} from this shop and the last one.',
    'Sending it back.',
    'What a waste.',
    '',
  ],
  mixed: [
    'An okay {noun}.',
    'Mixed feelings about this {noun}.',
    'It does the job.',
    'Three weeks in, a fair {noun}.',
    '',
  ],
};

const closers = {
  good: ['Highly recommended.', 'Five stars from me.', 'Worth every cent.', 'Delivery was quick too.', '', '', ''],
  bad: ['I asked for a refund.', 'Would not recommend it.', 'One star.', 'Please do better.', '', '', ''],
  mixed: ['Good for the price, I suppose.', 'I will keep it for now.', '', '', ''],
};

/** Numbers from 0 to 1 that look random; a 32-bit mixing generator. */
const randomFrom = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
};

const random = randomFrom(2024);
const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T; // never empty here
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** Two different members of a list. */
const pickTwo = (list: readonly string[]): readonly [string, string] => {
  const first = pick(list);
  return [first, pick(list.filter((item) => item !== first))];
};

const bodyOf = (mood: keyof typeof openers, { praises, complaints }: Product): string => {
  const [praise, morePraise] = pickTwo(praises);
  const [complaint, moreComplaint] = pickTwo(complaints);
  switch (mood) {
    case 'good':
      return pick([
        `${capital(praise)}.`,
        `${capital(praise)}, and ${morePraise}.`,
        `${capital(praise)}. Also, ${morePraise}.`,
        `${capital(praise)}. Only ${complaint}, but I can live with that.`,
      ]);
    case 'bad':
      return pick([
        `${capital(complaint)}.`,
        `${capital(complaint)}, and ${moreComplaint}.`,
        `${capital(complaint)}. On top of that, ${moreComplaint}.`,
        `Sure, ${praise}, but ${complaint}.`,
      ]);
    default:
      return pick([
        `${capital(praise)}, but ${complaint}.`,
        `${capital(complaint)}. On the other hand, ${praise}.`,
        `${capital(praise)}; ${complaint}, though.`,
      ]);
  }
};

const reviewOf = (product: Product): string => {
  const chance = random();
  const mood = chance < product.good ? 'good' : chance < product.good + (1 - product.good) * 0.7 ? 'bad' : 'mixed';
  return [pick(openers[mood]).replace('{noun}', product.noun), bodyOf(mood, product), pick(closers[mood])]
    .filter((part) => part !== '')
    .join(' ');
};

/** Mostly minutes apart; now and then a campaign brings a burst for one product. */
const main = (count: number): void => {
  const startSeconds = Date.UTC(2025, 2, 3, 6) / 1000;
  const daysSeconds = 6 * 86_400 - 7 * 3600;
  const offsets: { readonly offset: number; readonly product: Product }[] = [];
  while (offsets.length < count) {
    const offset = random() * daysSeconds;
    const product = pick(products);
    const burst = random() < 0.03 ? 6 + Math.floor(random() * 7) : 1;
    for (let index = 0; index < burst && offsets.length < count; index += 1)
      offsets.push({ offset: offset + index * random() * 20, product });
  }
  const lines = offsets
    .sort((a, b) => a.offset - b.offset)
    .map(({ offset, product }) =>
      JSON.stringify({ id: product.id, review: reviewOf(product), ts: Math.floor(startSeconds + offset) }),
    );
  process.stdout.write(`${lines.join('\n')}\n`);
};

main(400);
