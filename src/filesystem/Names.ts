/**
 * From object keys to names in a directory and back: pure functions.
 *
 * An object lies at `bucket/key`, so that people find what they look for. Only what a directory cannot hold is spelled another
 * way, with `%`, and every spelling can be read back:
 *
 * | in the key | in the directory | |
 * | --- | --- | --- |
 * | control characters, `%`, everything beyond ASCII | `%XX` for each byte | `größe` is `gr%C3%B6%C3%9Fe` |
 * | nothing between two `/`, or behind the last one | `%` | `a//b` is `a/%/b` |
 * | `.` as a whole component | `%2E` | |
 * | a component whose spelling is longer than 240 bytes | directories of 240 bytes, each ending in `%c`, then the rest | |
 * | `a` beside `a/b` | whichever came later: `a%o`, or `a%d/b` | see `Objects.ts` |
 *
 * What is no spelling of a key, such as `lost+found%` or a file name in Latin-1, is not an object, and is never listed.
 */
import * as Data from "effect/Data"
import * as Option from "effect/Option"
import * as Result from "effect/Result"

/** A key or prefix that is no name of an object of this store. */
export class KeyRefused extends Data.TaggedError("KeyRefused")<{
  readonly what: "object key" | "prefix"
  readonly key: string
  readonly reason: string
}> {
  override get message() {
    return `the ${this.what} ${JSON.stringify(this.key)} is refused: ${this.reason}`
  }
}

/** A bucket is one directory. */
export class BucketRefused extends Data.TaggedError("BucketRefused")<{ readonly bucket: string }> {
  override get message() {
    return `the bucket ${JSON.stringify(this.bucket)} is refused: a bucket's name has 1 to 255 letters, digits, dots, hyphens and underscores, and begins with a letter or digit. Correct spec.objectStorage.bucket of the location`
  }
}

/** S3's limit. It keeps the longest spelling below Linux' limit of 4,096 bytes for a path. */
export const maximumKeyBytes = 1024

/** Room for the marks within the 255 bytes that file systems have for a name. */
const pieceLength = 240

/** A directory that holds the rest of a name. */
const continuedMark = "%c"

/** An object whose own name is taken by a directory. */
const objectMark = "%o"

/** A directory whose own name is taken by an object. */
const directoryMark = "%d"

/** The directory of the root that is no bucket: a bucket's name begins with a letter or digit. */
export const privateDirectory = ".velero-filesystem"

const bucketPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/

export const bucket = (name: string): Result.Result<string, BucketRefused> =>
  bucketPattern.test(name) ? Result.succeed(name) : Result.fail(new BucketRefused({ bucket: name }))

/** Why a text names nothing below a bucket; of a prefix, only what stands before its last `/` are whole components. */
const refusal = (text: string, whole: string = text): string | undefined => {
  if (text.includes("\0")) return "it contains a NUL byte"
  if (text.startsWith("/")) return "it is absolute (it begins with /)"
  if (whole.split("/").includes("..")) return "it has a component .., which could leave the bucket"
  if (!text.isWellFormed()) return "it is not Unicode text (half of a surrogate pair)"
  if (Buffer.byteLength(text) > maximumKeyBytes) return `it is longer than ${maximumKeyBytes} bytes, S3's limit`
  return undefined
}

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const hex = (byte: number): string => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`

// Printable ASCII but for `%`; `/` separates components, and never gets here.
const ordinary = /^[ -$&-~]*$/

/** The spelling of one component: ASCII, never empty, `.` or `..`. */
export const escape = (component: string): string => {
  if (component === "") return "%"
  if (component === ".") return "%2E"
  if (ordinary.test(component)) return component
  return Array.from(encoder.encode(component), (byte) =>
    byte < 0x20 || byte > 0x7e || byte === 0x25 ? hex(byte) : String.fromCharCode(byte)
  ).join("")
}

/** The component of a spelling; none where `escape` never spells so. */
export const unescape = (spelling: string): Option.Option<string> => {
  if (spelling === "%") return Option.some("")
  if (spelling.includes("%%") || !/^(?:[ -$&-~]|%[0-9A-F]{2})+$/.test(spelling)) return Option.none()
  const bytes = Uint8Array.from(spelling.match(/%..|./gs) ?? [], (unit) =>
    unit.length === 1 ? unit.charCodeAt(0) : Number.parseInt(unit.slice(1), 16)
  )
  return Option.filter(
    Option.liftThrowable(() => decoder.decode(bytes))(),
    (component) => escape(component) === spelling && component !== ".." && !component.includes("/")
  )
}

/** Names of the directories that a component takes, and of its last piece. */
const pieces = (spelling: string): { readonly directories: ReadonlyArray<string>; readonly last: string } => {
  const directories: Array<string> = []
  let rest = spelling
  while (rest.length > pieceLength) {
    directories.push(rest.slice(0, pieceLength) + continuedMark)
    rest = rest.slice(pieceLength)
  }
  return { directories, last: rest }
}

/** Where an object lies below its bucket. */
export interface Place {
  readonly directories: ReadonlyArray<string>
  readonly file: string
}

const placeOf = (components: ReadonlyArray<string>): Place => {
  const all = components.map((component) => pieces(escape(component)))
  const last = all.at(-1)
  return {
    directories: [
      ...all.slice(0, -1).flatMap(({ directories, last: name }) => [...directories, name]),
      ...(last?.directories ?? [])
    ],
    file: last?.last ?? ""
  }
}

/** The place of a key. */
export const place = (key: string): Result.Result<Place, KeyRefused> => {
  const reason = key === "" ? "it is empty" : refusal(key)
  return reason === undefined
    ? Result.succeed(placeOf(key.split("/")))
    : Result.fail(new KeyRefused({ what: "object key", key, reason }))
}

/** Names that an object may have, the one that counts first: its own, and another where a directory has that. */
export const objectNames = (file: string): readonly [own: string, other: string] => [file, file + objectMark]

/** Names that a directory may have, the one that counts first: one beside an object of its own name, and that. */
export const directoryNames = (name: string): ReadonlyArray<string> =>
  // No object is ever called so.
  name.endsWith(continuedMark) ? [name] : [name + directoryMark, name]

/** Where the keys of a prefix are. */
export interface Base {
  readonly directories: ReadonlyArray<string>
  /** What the keys there begin with: the prefix up to its last `/`. */
  readonly prefix: string
}

/** The deepest directory that has all keys of a prefix in it. */
export const base = (prefix: string): Result.Result<Base, KeyRefused> => {
  const end = prefix.lastIndexOf("/")
  // What stands behind the last `/` is the beginning of a component, and no component: `..` begins `...`.
  const reason = refusal(prefix, prefix.slice(0, end + 1))
  if (reason !== undefined) return Result.fail(new KeyRefused({ what: "prefix", key: prefix, reason }))
  if (end === -1) return Result.succeed({ directories: [], prefix: "" })
  const { directories, file } = placeOf(prefix.slice(0, end).split("/"))
  return Result.succeed({ directories: [...directories, file], prefix: prefix.slice(0, end + 1) })
}

/** What a name in a directory stands for. */
export type Meaning =
  /** The beginning of a long component's spelling; the rest is in the directory. */
  | { readonly _tag: "Continued"; readonly spelling: string }
  /** A component of a key, whole. A marked name is one of objects or of directories only. */
  | { readonly _tag: "Component"; readonly component: string; readonly only: "file" | "directory" | undefined }

/** Reads a name; `continued` is the spelling so far, in a directory that holds the rest of one. */
export const meaning = (name: string, continued: string): Option.Option<Meaning> => {
  if (name.endsWith(continuedMark)) {
    const piece = name.slice(0, -continuedMark.length)
    return piece.length === pieceLength
      ? Option.some({ _tag: "Continued", spelling: continued + piece })
      : Option.none()
  }
  const only = name.endsWith(objectMark) ? "file" : name.endsWith(directoryMark) ? "directory" : undefined
  const piece = only === undefined ? name : name.slice(0, -objectMark.length)
  if (piece === "" || piece.length > pieceLength) return Option.none()
  return Option.map(unescape(continued + piece), (component) => ({ _tag: "Component", component, only }))
}

/** The order of S3's listings: by the bytes of UTF-8, which for surrogate pairs is not JavaScript's. */
export const sorted = (keys: Iterable<string>): Array<string> =>
  Array.from(new Set(keys), (key) => ({ key, bytes: encoder.encode(key) }))
    .toSorted((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ key }) => key)

/** The common prefix that stands for a key in a listing with a delimiter, if one does. */
export const commonPrefix = (key: string, prefix: string, delimiter: string): Option.Option<string> => {
  if (delimiter === "" || !key.startsWith(prefix)) return Option.none()
  const found = key.indexOf(delimiter, prefix.length)
  return found === -1 ? Option.none() : Option.some(key.slice(0, found + delimiter.length))
}
