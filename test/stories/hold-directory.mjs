/** Opens the database whose path it is given and keeps it open until it is killed: the other process of the story about locks. */
import { ClassicLevel } from 'classic-level';

const level = new ClassicLevel(process.argv[2], { createIfMissing: false });
await level.open();
process.send?.('open');
setInterval(() => {}, 1000);
