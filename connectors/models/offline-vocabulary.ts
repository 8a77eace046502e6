/**
 * The words by which the offline model reads: what buyers complain of and praise, what turns or strengthens a word, and
 * the themes of complaints.
 */
export interface Theme {
  readonly name: string;
  /** What to do about complaints on it. */
  readonly advice: string;
}

const words = (list: string): ReadonlySet<string> => new Set(list.split(' '));

/** What AFINN does not rate but buyers complain about or praise. */
export const ownValence: ReadonlyMap<string, number> = new Map([
  ...[
    ...words(
      'late slow loud cheaply flimsy smelly reeks wobbly sticky blurry itchy stale soggy bland leaks leaked leaking rattles rattle peeled',
    ),
  ].map((word) => [word, -2] as const),
  ...[
    ...words(
      'tore torn cracked scratched dented faded shrank snapped bent rusted rusty overheats overheated crooked stained damaged unusable refund returned returning smell smells odor buzzing squeaks drains jammed tasteless pinches clogged',
    ),
  ].map((word) => [word, -2] as const),
  ...[...words('junk garbage fell overpriced defective unreadable')].map((word) => [word, -3] as const),
  ...[...words('small tight narrow bulky heavy dim thin')].map((word) => [word, -1] as const),
  ...[
    ...words('sturdy quiet quick quickly fast cozy crisp roomy soft durable lightweight accurate smooth comfy snug'),
  ].map((word) => [word, 2] as const),
  // Rated by AFINN for what they mean in the news, not in a shop.
  ...[
    ...words('no nuts cut cutting fire drop dropped charge charged charges hard pay pressure stop sharp alone demand'),
  ].map((word) => [word, 0] as const),
  ['broke', -3],
  ['broken', -3],
  ['stopped', -2],
  ['works', 1],
]);

export const negations = words(
  'not no never hardly barely rarely seldom without nothing none neither nor cannot cant dont doesnt didnt isnt wasnt wont arent werent couldnt wouldnt shouldnt aint hasnt havent',
);
export const boosters = words(
  'very really extremely so absolutely incredibly super totally completely too far highly terribly',
);
export const dampers = words('slightly somewhat bit little fairly mildly kinda rather');
/** "Saved my phone from a bad fall": what comes behind these is what did not happen. */
export const shields = words(
  'saved saves protects protected survives survived prevents prevented withstood withstands',
);
export const fillers = words(
  'i we the a an are were and but so also because then it its is was that this these those my our he she they you there well just however although though which when while while, honestly overall unfortunately sadly plus only even me very really',
);

/** `advice` completes "N of M complaints mention <name>: ...". The order decides between themes that match equally. */
export const themeTable: readonly (Theme & { readonly stems: readonly string[] })[] = [
  {
    name: 'shipping',
    stems: ['ship', 'deliver', 'arriv', 'late$', 'courier', 'packag', 'parcel', 'carrier', 'box', 'dented'],
    advice: 'use sturdier packaging and a carrier that keeps its dates',
  },
  {
    name: 'size and fit',
    stems: [
      'size',
      'sizing',
      'small',
      'big',
      'bigger',
      'huge',
      'tight',
      'narrow',
      'cramped',
      'fit',
      'bulky',
      'loose',
      'shrank',
      'shrunk',
      'short',
      'large',
    ],
    advice: 'correct the size chart and offer half sizes or a free exchange',
  },
  {
    name: 'smell',
    stems: ['smell', 'odor', 'odour', 'stink', 'reek', 'fumes', 'chemical'],
    advice: 'change or air the material that smells before it is packed',
  },
  {
    name: 'battery',
    stems: ['batter', 'charg', 'drain', 'recharg'],
    advice: 'fit a larger battery and state its running time honestly',
  },
  {
    name: 'noise',
    stems: ['nois', 'loud', 'buzz', 'rattl', 'squeak', 'hum', 'hums', 'humming', 'whin', 'rumbl'],
    advice: 'damp the moving parts so that it runs quietly',
  },
  {
    name: 'durability',
    stems: [
      'broke',
      'break',
      'crack',
      'tore',
      'torn',
      'snap',
      'died',
      'stopped',
      'fell',
      'peel',
      'rust',
      'wore',
      'durab',
      'split',
      'lasted',
    ],
    advice: 'strengthen the parts that break and test them for a year of use',
  },
  {
    name: 'reliability',
    stems: [
      'jam',
      'jammed',
      'stuck',
      'freez',
      'froze',
      'crash',
      'connect',
      'disconnect',
      'unreliab',
      'malfunction',
      'restart',
    ],
    advice: 'find out why it gets stuck or loses its connection, and mend that first',
  },
  {
    name: 'light',
    stems: ['dim', 'bright', 'glare', 'flicker'],
    advice: 'make the light brighter and let the user set it',
  },
  {
    name: 'leaks',
    stems: ['leak', 'drip', 'spill', 'seal', 'soggy'],
    advice: 'improve the seal and test each piece for leaks',
  },
  {
    name: 'customer service',
    stems: ['service', 'support', 'repl', 'email', 'warranty'],
    advice: 'answer within a day and refund without questions',
  },
  {
    name: 'instructions',
    stems: ['instruct', 'manual', 'setup', 'assembl', 'app', 'confus', 'pair', 'install'],
    advice: 'rewrite the instructions with pictures and shorten the setup',
  },
  {
    name: 'price',
    stems: ['price', 'expens', 'overpric', 'money', 'cost', 'worth', 'pricey'],
    advice: 'lower the price or add what justifies it',
  },
  {
    name: 'comfort',
    stems: ['comfort', 'hurt', 'pain', 'itch', 'pinch', 'blister', 'stiff', 'heavy', 'sore'],
    advice: 'soften and pad the places that press',
  },
  {
    name: 'taste',
    stems: ['tast', 'flavor', 'flavour', 'stale', 'bland', 'bitter'],
    advice: 'rework the recipe and check its freshness',
  },
  {
    name: 'heat',
    stems: ['hot', 'heat', 'overheat', 'burn', 'lukewarm', 'temperature'],
    advice: 'control the temperature better',
  },
  {
    name: 'looks',
    stems: ['colo', 'fade', 'scratch', 'stain', 'finish', 'picture', 'photo', 'crooked', 'ugly'],
    advice: 'make colour and finish match the pictures',
  },
  {
    name: 'quality',
    stems: ['quality', 'cheap', 'flimsy', 'defect', 'junk', 'poor', 'wobbl', 'material', 'thin'],
    advice: 'use better material and check each piece before it is sent',
  },
];

/** Words of an opinion that says nothing of its reason. */
export const verdicts = words(
  'disappointed disappointing disappointment recommend waste wasted regret terrible awful horrible worst bad poor oops ugh impressed happy satisfied hate sorry shame wrong returned returning refund',
);

/** Words that a phrase does not end with. */
export const openEnds = words('for during of to in on with at from by than as into after before about until if or');
