/** What happens in an auction house: people register, auctions open, bids are made. */

export interface Person {
  readonly kind: 'person';
  readonly id: number;
  readonly name: string;
  readonly email: string;
  readonly creditCard: string;
  readonly city: string;
  readonly state: string;
  /** Event time in milliseconds, as in the others. */
  readonly ts: number;
  readonly extra: string;
}

export interface Auction {
  readonly kind: 'auction';
  readonly id: number;
  readonly itemName: string;
  readonly description: string;
  readonly initialBid: number;
  readonly reserve: number;
  readonly ts: number;
  /** The last millisecond in which a bid counts. */
  readonly expires: number;
  /** Id of a person. */
  readonly seller: number;
  readonly category: number;
  readonly extra: string;
}

export interface Bid {
  readonly kind: 'bid';
  /** Id of an auction, which may open a little later. */
  readonly auction: number;
  readonly bidder: number;
  readonly price: number;
  readonly channel: string;
  readonly url: string;
  readonly ts: number;
  readonly extra: string;
}

export type NexmarkEvent = Person | Auction | Bid;

export const isPerson = (event: NexmarkEvent): event is Person => event.kind === 'person';
export const isAuction = (event: NexmarkEvent): event is Auction => event.kind === 'auction';
export const isBid = (event: NexmarkEvent): event is Bid => event.kind === 'bid';
