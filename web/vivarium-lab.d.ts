import type { Finding } from "./vivarium.js";

/** The moment that a lab shows. Times are virtual microseconds. */
export interface Moment {
    event: number;
    lastEvent: number;
    branch: number;
    timeUs: number;
    playing: boolean;
    /** Of all that happened: equal runs have equal hashes. */
    hash: string;
    /** The last event, for people. */
    sentence: string;
    /** How many findings there are. */
    findings: number;
}

/** `<vivarium-lab scenario="…" step="…" controls="none|time|full" views="cluster log">` */
export class VivariumLab extends HTMLElement {
    readonly moment: Moment | undefined;
    act(line: string): void;
    seek(event: number): void;
    play(): void;
    pause(): void;
    addEventListener(type: "ready", listener: (event: CustomEvent<string>) => void, options?: boolean | AddEventListenerOptions): void;
    addEventListener(type: "step", listener: (event: CustomEvent<Moment>) => void, options?: boolean | AddEventListenerOptions): void;
    addEventListener(type: "finding", listener: (event: CustomEvent<Finding>) => void, options?: boolean | AddEventListenerOptions): void;
    addEventListener(type: "error", listener: (event: CustomEvent<string>) => void, options?: boolean | AddEventListenerOptions): void;
    addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
}

declare global {
    interface HTMLElementTagNameMap { "vivarium-lab": VivariumLab }
}
