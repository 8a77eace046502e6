/**
 * How cells that are read become values: as `pg` does it, but for what would depend on the zone of the process, or be
 * of a class that no checkpoint can store.
 */
type Parser = (text: string) => unknown;

/** The parsers of types, by their numbers. */
export interface CellTypes {
  getTypeParser(oid: number, format?: 'text' | 'binary'): Parser;
}

/** Numbers of types, as the catalogue of the server has them; those of arrays are beside them. */
const oids = {
  date: { one: 1082, list: 1182 },
  timestamp: { one: 1114, list: 1115 },
  interval: { one: 1186, list: 1187 },
  text: { list: 1009 },
} as const;

const asText: Parser = (text) => text;

/** A time without a zone is taken for one of UTC, as the sink writes it; what no `Date` says stays a text. */
const asUtc: Parser = (text) => {
  const date = new Date(`${text.replace(' ', 'T')}Z`);
  return Number.isNaN(date.getTime()) ? text : date;
};

/** What `pg` asks for the parser of a type. */
export const cellTypes = (packaged: CellTypes): CellTypes => {
  const listOf = (parser: Parser): Parser => {
    const texts: Parser = packaged.getTypeParser(oids.text.list, 'text');
    // A list may hold lists.
    const each = (cell: unknown): unknown =>
      Array.isArray(cell) ? cell.map(each) : typeof cell === 'string' ? parser(cell) : cell;
    return (text) => each(texts(text));
  };
  const own = new Map<number, Parser>([
    [oids.date.one, asText],
    [oids.date.list, listOf(asText)],
    [oids.timestamp.one, asUtc],
    [oids.timestamp.list, listOf(asUtc)],
    [oids.interval.one, asText],
    [oids.interval.list, listOf(asText)],
  ]);
  return { getTypeParser: (oid) => own.get(oid) ?? packaged.getTypeParser(oid, 'text') };
};
