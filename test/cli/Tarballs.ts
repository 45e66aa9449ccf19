/** Tarballs as Velero writes them, and others. */
import { pipeline } from "node:stream/promises"
import * as Zlib from "node:zlib"
import { pack } from "tar-stream"
import type { Entry } from "../../src/testing/VeleroHost.ts"

/** A tarball of files, by path. It is never held uncompressed. */
export const tar = async (files: Iterable<readonly [path: string, text: string]>): Promise<Buffer> => {
  const packed = pack()
  const parts: Array<Buffer> = []
  const done = pipeline(packed, Zlib.createGzip({ level: 1 }), async (compressed: AsyncIterable<Buffer>) => {
    for await (const part of compressed) parts.push(part)
  })
  for (const [name, text] of files) {
    await new Promise<void>((resolve, reject) => {
      packed.entry({ name, mode: 0o755 }, text, (error) => (error ? reject(error) : resolve()))
    })
  }
  packed.finalize()
  await done
  return Buffer.concat(parts)
}

/** Where Velero puts an item: for older versions of itself, and by API version. */
export const pathsOf = ({ name, namespace, resource }: Omit<Entry, "text" | "kind">): ReadonlyArray<string> => {
  const place = namespace === "" ? `cluster/${name}.json` : `namespaces/${namespace}/${name}.json`
  return [`resources/${resource}/${place}`, `resources/${resource}/v1-preferredversion/${place}`]
}

export const version = ["metadata/version", "1.1.0\n"] as const

/** The tarball of a backup. */
export const backup = (items: ReadonlyArray<Entry>): Promise<Buffer> =>
  tar([version, ...items.flatMap((item) => pathsOf(item).map((path) => [path, item.text] as const))])
