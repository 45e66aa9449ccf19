/** Bodies of which every part can be told from every other. */

const chunkBytes = 16 * 1024

/** A version of so many bytes, in Velero's chunks: its size and version first, then numbers that no other version has. */
export const contentOf = function* (version: number, size: number): Generator<Uint8Array> {
  for (let start = 0; start < size; start += chunkBytes) {
    const bytes = Buffer.alloc(Math.min(chunkBytes, size - start))
    for (let at = 0; at + 8 <= bytes.length; at += 8) {
      bytes.writeUInt32LE(start === 0 && at === 0 ? size : start + at, at)
      bytes.writeUInt32LE(version, at + 4)
    }
    yield bytes
  }
}

/** The version of an object, if it is one, whole. */
export const versionOf = (bytes: Buffer): number | undefined => {
  if (bytes.length < 8) return undefined
  const version = bytes.readUInt32LE(4)
  const expected = Buffer.concat([...contentOf(version, bytes.readUInt32LE(0))])
  return expected.equals(bytes) ? version : undefined
}
