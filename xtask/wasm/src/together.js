/** What a caller has of the engine, as it arrives, as a module. What could not be fetched is for wasm-bindgen to tell. */
async function engine(it) {
    it = await it;
    if (typeof Response !== "function" || !(it instanceof Response) || !it.ok) return together(it);
    // Only of what this script asked for is it known that it is what was kept.
    const own = it.url.endsWith(`?v=${VERSION.toString(16).padStart(8, "0")}`) ? it.url : undefined;
    const [cache, kept] = own ? await before(own) : [];
    if (kept) {
        try {
            const module = await WebAssembly.compileStreaming(kept);
            it.body.cancel();
            return module;
        } catch {
            // It is damaged: what arrives takes its place.
        }
    }
    const take = unpacking(), reader = it.body.getReader();
    for (;;) {
        const { value } = await reader.read();
        const module = take(value);
        if (value) continue;
        if (cache) keep(cache, own, module.slice());
        return module;
    }
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
/** A module of the file that xtask/wasm/src/parts.rs made; what is no bytes, and the bytes of a module, as it is. */
function together(arrived) {
    if (arrived?.byteLength === undefined) return arrived;
    const take = unpacking();
    take(ArrayBuffer.isView(arrived) ? new Uint8Array(arrived.buffer, arrived.byteOffset, arrived.byteLength) : new Uint8Array(arrived));
    return take();
}
/** Takes the file piece by piece and then nothing, and gives the module. Code is unpacked as it arrives. */
function unpacking() {
    const FIRST = 40;
    let bytes = new Uint8Array(1 << 20), have = 0, taken, unpacker, wrong;
    const begins = (...magic) => magic.every((byte, index) => bytes[index] === byte);
    const isPacked = () => have > FIRST + 4 && begins(0x70, 0x72, 0x74, 0x35);
    // The numbers of parts.rs, and where each part ends.
    const told = () => {
        const view = new DataView(bytes.buffer);
        const [length, code, version, end, functions, ...sizes] = Array.from({ length: 9 }, (_, it) => view.getUint32(4 + 4 * it, true));
        const ends = sizes.map((_, it) => sizes.slice(0, it + 1).reduce((sum, size) => sum + size, FIRST));
        return { view, length, code, version, end, functions, ends };
    };
    const go = () => {
        const { code, version, functions, ends: [own, before, packed] } = told();
        // Both sides of what is imported and exported are numbered: of two versions they would fit, and mean other things.
        if (version !== VERSION) throw new Error("the engine's file is of another version than the script that loads it; reload the page");
        if (have < before) return;
        // What unpacks the code is in the file, and needs what is before the code.
        if (!unpacker) {
            unpacker = new WebAssembly.Instance(new WebAssembly.Module(bytes.subarray(FIRST, own))).exports;
            new Uint8Array(unpacker.memory.buffer).set(unpacked(bytes.subarray(own, before), code, 1), unpacker.module());
            taken = before;
        }
        const until = Math.min(have, packed);
        new Uint8Array(unpacker.memory.buffer).set(bytes.subarray(taken, until), unpacker.file() + taken - before);
        taken = until;
        unpacker.unpack(until - before, until === packed, code, functions);
    };
    return (piece) => {
        if (piece) {
            if (have + piece.length > bytes.length) {
                const before = bytes;
                bytes = new Uint8Array(2 * (have + piece.length));
                bytes.set(before);
            }
            bytes.set(piece, have);
            have += piece.length;
        }
        if (begins(0, 0x61, 0x73, 0x6d)) return bytes.subarray(0, have);
        if (!piece) {
            const { view, length, end, ends: [, , packed, last] } = told();
            // The last four bytes are the sum of all before them: bytes with the right one are as they were written.
            let sum = 0x811c9dc5 | 0;
            for (let it = 0; it < have - 4; it++) sum = Math.imul(sum ^ bytes[it], 0x01000193);
            if (!isPacked() || sum !== view.getInt32(have - 4, true)) throw new Error("the engine's file arrived damaged or is another version; reload the page");
            if (wrong) throw wrong;
            const module = new Uint8Array(unpacker.memory.buffer, unpacker.module(), length);
            module.set(unpacked(bytes.subarray(packed, last), length - end, 3), end);
            return module;
        }
        if (!isPacked() || wrong || taken === told().ends[2]) return;
        try {
            go();
        } catch (error) {
            // Whether the file is damaged is known at its end.
            wrong = error;
        }
    };
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
