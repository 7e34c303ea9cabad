/** What a caller has of the engine, once it has arrived, as a module. What could not be fetched is for wasm-bindgen to tell. */
async function engine(it) {
    it = await it;
    if (typeof Response !== "function" || !(it instanceof Response) || !it.ok) return together(it);
    // Only of what this script asked for is it known that it is what was kept.
    const own = it.url.endsWith(`?v=${VERSION.toString(16).padStart(8, "0")}`) ? it.url : undefined;
    const [cache, kept] = own ? await before(own) : [];
    if (kept) {
        it.body.cancel();
        return kept;
    }
    const module = together(await it.arrayBuffer());
    if (cache) keep(cache, own, module.slice());
    return module;
}
/** Modules that were unpacked are kept for later visits. Where nothing may be kept, or not enough, each visit unpacks. */
async function before(own) {
    try {
        const cache = await caches.open("vivarium modules");
        return [cache, await cache.match(own)];
    } catch {
        return [];
    }
}
async function keep(cache, own, module) {
    // Those who wait for the engine have it first.
    await new Promise((done) => setTimeout(done, 2000));
    try {
        const path = new URL(own).pathname;
        for (const it of await cache.keys()) if (new URL(it.url).pathname === path) await cache.delete(it);
        await cache.put(own, new Response(module, { headers: { "content-type": "application/wasm" } }));
    } catch {
        // There is no room.
    }
}
/** A module of its parts, which xtask/wasm/src/parts.rs took apart; what is no bytes, and the bytes of a module, as it is. */
function together(arrived) {
    if (arrived?.byteLength === undefined) return arrived;
    const bytes = ArrayBuffer.isView(arrived) ? new Uint8Array(arrived.buffer, arrived.byteOffset, arrived.byteLength) : new Uint8Array(arrived);
    const begins = (...magic) => magic.every((byte, index) => bytes[index] === byte);
    if (begins(0, 0x61, 0x73, 0x6d)) return bytes;
    const damaged = () => { throw new Error("the engine's file arrived damaged or is another version; reload the page"); };
    // The kinds of parts as there, and what has no one kind.
    const [HEAD, TAIL, OPCODE, DECLARATION, GET, SET, TYPE, BRANCH, CONDITIONAL, CALLEE, CONSTANT, ADDED, BESIDE, KEPT, ADDRESS, LOADED, STORED, TARGETS, REST, GLOBAL, INDIRECT, LONG, COMPARED, MASKED, SHIFTED, SEVERAL] = Array(26).keys();
    const KINDS = SEVERAL;
    const FIRST = 16 + 8 * KINDS;
    // The last four bytes are the sum of all before them: bytes with the right one are as they were written.
    const written = bytes.length - 4;
    if (!begins(0x70, 0x72, 0x74, 0x34) || written < FIRST) damaged();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let sum = 0x811c9dc5 | 0;
    for (let it = 0; it < written; it++) sum = Math.imul(sum ^ bytes[it], 0x01000193);
    if (sum !== view.getInt32(written, true)) damaged();
    // Both sides of what is imported and exported are numbered: of two versions they would fit, and mean other things.
    if (view.getUint32(12, true) !== VERSION) throw new Error("the engine's file is of another version than the script that loads it; reload the page");
    const length = view.getUint32(4, true);
    const [lengths, packed] = [16, 20].map((at) => Array.from({ length: KINDS }, (_, it) => view.getUint32(at + 8 * it, true)));
    let begin = FIRST;
    let pairs = begin + packed.reduce((sum, it) => sum + it);
    if (pairs > written) damaged();
    // A part as it was before it was packed, and before bytes stood for pairs.
    const parts = lengths.map((own, kind) => {
        const size = own >>> 4, context = own & 15, here = bytes.subarray(begin, begin += packed[kind]);
        if (size > length || context === 15 && here.length !== size || context > 8 && context < 15) damaged();
        const coded = context === 15 ? here : unpacked(here, size, context);
        const texts = Array.from({ length: 256 }, (_, code) => [code]);
        let left = bytes[pairs++];
        if (left === 0) return coded;
        for (; left > 0; left--) {
            if (pairs + 3 > written) damaged();
            const text = texts[bytes[pairs]] = [...texts[bytes[pairs + 1]], ...texts[bytes[pairs + 2]]];
            if (text.length > length) damaged();
            pairs += 3;
        }
        let full = 0;
        for (let it = 0; it < size; it++) full += texts[coded[it]].length;
        if (full > length) damaged();
        const part = new Uint8Array(full);
        for (let it = 0, at = 0; it < size; it++) {
            const text = texts[coded[it]];
            for (let index = 0; index < text.length; index++) part[at++] = text[index];
        }
        return part;
    });
    // Of each opcode: what it is in the module, which part its operands are in, how many they are; and its alignment.
    const shown = Uint8Array.from(Array(256).keys());
    shown[6] = 0x41;
    const kinds = new Uint8Array(256), counts = new Uint8Array(256), align = new Uint8Array(256);
    const kind = (it, count, ...opcodes) => opcodes.forEach((opcode) => { kinds[opcode] = it; counts[opcode] = count; });
    kind(TYPE, 1, 2, 3, 4);
    kind(GLOBAL, 1, 0x23, 0x24);
    kind(ADDRESS, 1, 6);
    kind(BRANCH, 1, 0x0c);
    kind(CONDITIONAL, 1, 0x0d);
    kind(CALLEE, 1, 0x10);
    kind(GET, 1, 0x20);
    kind(SET, 1, 0x21, 0x22);
    kind(CONSTANT, 1, 0x41);
    kind(LONG, 1, 0x42);
    kind(REST, 1, 0x25, 0x26, 0x3f, 0x40, 0xd0, 0xd2);
    kind(INDIRECT, 2, 0x11);
    kind(SEVERAL, 1, 0x0e, 0x43, 0x44, 0xfc);
    [..."23230011001122232301012"].forEach((it, index) => { kind(index < 14 ? LOADED : STORED, 1, 0x28 + index); align[0x28 + index] = it; });
    // Of a constant by the opcode behind it.
    const before = new Uint8Array(256).fill(CONSTANT).fill(KEPT, 0x36, 0x3f).fill(COMPARED, 0x46, 0x50).fill(MASKED, 0x71, 0x74).fill(SHIFTED, 0x74, 0x79);
    before[0x6a] = ADDED;
    before[0x20] = BESIDE;
    const long = [0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 1, 2, 1, 2, 1, 1, 1];
    // A body is made behind the longest size that it could have, and moved.
    const GAP = 5;
    const out = new Uint8Array(length + GAP);
    out.set(parts[HEAD]);
    const opcodes = parts[OPCODE], declarations = parts[DECLARATION];
    const next = new Uint32Array(KINDS);
    let at = parts[HEAD].length, step = 0, it, byte, shift;
    for (let functions = view.getUint32(8, true); functions > 0; functions--) {
        const start = at;
        at += GAP;
        let runs = shift = 0;
        it = next[DECLARATION];
        do {
            out[at++] = byte = declarations[it++];
            runs |= (byte & 127) << shift;
            shift += 7;
        } while (byte > 127);
        if (runs > declarations.length) damaged();
        for (; runs > 0; runs--) {
            do out[at++] = byte = declarations[it++]; while (byte > 127);
            out[at++] = declarations[it++];
        }
        next[DECLARATION] = it;
        for (let depth = 1; depth > 0;) {
            if (step >= opcodes.length) damaged();
            const opcode = opcodes[step++];
            out[at++] = shown[opcode];
            let from = kinds[opcode], count = counts[opcode];
            if (count === 0) {
                if (opcode === 0x0b) depth--;
                continue;
            }
            if (from === LOADED || from === STORED) out[at++] = align[opcode];
            else if (opcode === 0x41) from = before[opcodes[step]];
            else if (opcode < 5) depth++;
            else if (opcode === 0xfc) {
                const second = out[at++] = opcodes[step++];
                from = REST;
                count = long[second];
            } else if (opcode === 0x0e) {
                from = TARGETS;
                it = next[TARGETS];
                count = 1;
                shift = 0;
                do {
                    out[at++] = byte = parts[TARGETS][it++];
                    count += (byte & 127) << shift;
                    shift += 7;
                } while (byte > 127);
                next[TARGETS] = it;
                if (count > parts[TARGETS].length) damaged();
            } else if (from === SEVERAL) {
                for (let left = opcode === 0x43 ? 4 : 8; left > 0; left--) out[at++] = parts[REST][next[REST]++];
                continue;
            }
            const part = parts[from];
            it = next[from];
            for (; count > 0; count--) do out[at++] = byte = part[it++]; while (byte > 127);
            next[from] = it;
        }
        const body = start + GAP, end = at;
        at = start;
        let size = end - body;
        for (; size > 127; size >>>= 7) out[at++] = size & 127 | 128;
        out[at++] = size;
        out.copyWithin(at, body, end);
        at += end - body;
    }
    next[OPCODE] = step;
    const unread = parts.some((part, kind) => kind > TAIL && part.length !== next[kind]);
    if (unread || pairs !== written || at + parts[TAIL].length !== length) damaged();
    out.set(parts[TAIL], at);
    return out.subarray(0, length);
}
/**
 * What LZMA packed in bits of its own, by their odds: so many bytes, of which the first bits of the one before choose a byte's odds.
 * It is bytes, and again what stood so far back: as far as one of the last four times, or another distance.
 */
function unpacked(bytes, size, context) {
    if (bytes.length < 5) throw new Error("the engine's file makes no sense");
    const out = new Uint8Array(size);
    // Where the odds of each decision are; those that depend on the state or are trees of bits, where they begin.
    const [AGAIN, SAME, NOT_LAST, NOT_SECOND, NOT_THIRD, LONGER, SLOT, NEAR, ALIGNED, LENGTH, SAME_LENGTH, BYTE] = [0, 12, 24, 36, 48, 60, 72, 328, 456, 472, 746, 1020];
    const odds = new Uint16Array(BYTE + (0x300 << context)).fill(1024);
    // The range that is left, and where in it the bits are. The first byte is always 0.
    const coder = new Uint32Array([0xffffffff, new DataView(bytes.buffer, bytes.byteOffset).getUint32(1)]);
    let next = 5;
    const narrow = (range, code) => {
        const isNarrow = range < 0x1000000;
        coder[0] = isNarrow ? range << 8 : range;
        coder[1] = isNarrow ? code << 8 | bytes[next++] : code;
    };
    const bit = (which) => {
        const odd = odds[which], range = coder[0], code = coder[1];
        const bound = Math.imul(range >>> 11, odd) >>> 0;
        if (code < bound) {
            odds[which] = odd + (2048 - odd >> 5);
            narrow(bound, code);
            return 0;
        }
        odds[which] = odd - (odd >> 5);
        narrow(range - bound, code - bound);
        return 1;
    };
    const even = () => {
        const half = coder[0] >>> 1, code = coder[1];
        narrow(half, code < half ? code : code - half);
        return code < half ? 0 : 1;
    };
    const tree = (from, bits) => {
        let it = 1;
        for (let left = bits; left > 0; left--) it = it << 1 | bit(from + it);
        return it - (1 << bits);
    };
    // The lowest bit first.
    const upwards = (from, bits) => {
        let it = 1, value = 0;
        for (let index = 0; index < bits; index++) {
            const one = bit(from + it);
            it = it << 1 | one;
            value |= one << index;
        }
        return value;
    };
    const span = (from) => {
        if (!bit(from)) return 2 + tree(from + 2, 3);
        return bit(from + 1) ? 18 + tree(from + 18, 8) : 10 + tree(from + 10, 3);
    };
    const distance = (length) => {
        const slot = tree(SLOT + (Math.min(length - 2, 3) << 6), 6);
        if (slot < 4) return slot;
        const bits = (slot >> 1) - 1, first = (2 | slot & 1) << bits;
        if (slot < 14) return first + upwards(NEAR + first - slot, bits);
        let high = 0;
        for (let left = bits - 4; left > 0; left--) high = high << 1 | even();
        return first + (high << 4) + upwards(ALIGNED, 4);
    };
    // Up to 6: bytes of late.
    let state = 0;
    let last = 0, second = 0, third = 0, fourth = 0;
    for (let at = 0; at < size;) {
        if (!bit(AGAIN + state)) {
            const from = BYTE + 0x300 * (at > 0 ? out[at - 1] >> 8 - context : 0);
            let byte = 1;
            if (state > 6) {
                // It is not the one that would have gone on with what was there before: as long as it is like that, that says much.
                let other = out[at - last - 1];
                for (let like = true; like && byte < 256; other <<= 1) {
                    const expected = other >> 7 & 1, one = bit(from + (1 + expected << 8) + byte);
                    byte = byte << 1 | one;
                    like = one === expected;
                }
            }
            // Most bits of all are read here: as `bit` reads them, without its calls.
            let range = coder[0], code = coder[1];
            while (byte < 256) {
                const which = from + byte, odd = odds[which];
                const bound = Math.imul(range >>> 11, odd) >>> 0;
                byte <<= 1;
                if (code < bound) {
                    range = bound;
                    odds[which] = odd + (2048 - odd >> 5);
                } else {
                    range = range - bound >>> 0;
                    code = code - bound >>> 0;
                    odds[which] = odd - (odd >> 5);
                    byte |= 1;
                }
                if (range < 0x1000000) {
                    range = range << 8 >>> 0;
                    code = (code << 8 | bytes[next++]) >>> 0;
                }
            }
            coder[0] = range;
            coder[1] = code;
            out[at++] = byte;
            state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
            continue;
        }
        let length = 1;
        if (!bit(SAME + state)) {
            [second, third, fourth] = [last, second, third];
            length = span(LENGTH);
            last = distance(length);
            state = state < 7 ? 7 : 10;
        } else {
            let isLonger = true;
            if (!bit(NOT_LAST + state)) isLonger = bit(LONGER + state) === 1;
            else if (!bit(NOT_SECOND + state)) [last, second] = [second, last];
            else if (!bit(NOT_THIRD + state)) [last, second, third] = [third, last, second];
            else [last, second, third, fourth] = [fourth, last, second, third];
            if (isLonger) length = span(SAME_LENGTH);
            state = (state < 7 ? 8 : 11) + (isLonger || state > 6 ? 0 : 1);
        }
        if (last >= at || at + length > size) throw new Error("the engine's file makes no sense");
        for (; length > 0; length--, at++) out[at] = out[at - last - 1];
    }
    return out;
}
