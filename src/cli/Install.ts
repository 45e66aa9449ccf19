/**
 * Puts the executable into Velero's plugin directory, as the init container of its image does.
 *
 * Velero starts every executable file below that directory, so there must never be half of one: a copy is made under another
 * name without the right to be executed, and takes its place by a rename, which a running plugin of the old version survives.
 * Nothing is synced to the disk: after a crash of the node the init container runs again, and compares checksums.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import { pipeline } from "node:stream/promises"
import * as Path from "node:path"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/** The executable cannot be put where it was asked for. */
export class CannotInstall extends Data.TaggedError("CannotInstall")<{
  readonly directory: string
  /** What is wrong, and what to do. */
  readonly detail: string
}> {
  override get message() {
    return `nothing was installed in ${this.directory}: ${this.detail}`
  }
}

export interface Options {
  /** The file to copy. */
  readonly source: string
  readonly directory: string
  /** Names of the copies in the directory. */
  readonly names: ReadonlyArray<string>
}

export interface Installed {
  readonly name: string
  /** Whether the directory had another file of that name, or none. */
  readonly changed: boolean
}

export interface Installation {
  /** Of the file, in hexadecimal. */
  readonly sha256: string
  /** In bytes. */
  readonly size: number
  readonly installed: ReadonlyArray<Installed>
}

const mode = 0o755

const mount = "mount Velero's plugin volume there (its init containers have it at /target, Velero itself at /plugins)"

const user = (): string => `user ${process.getuid?.()}, group ${process.getgid?.()}`

/** What to do about the errors that a wrong mount causes, by Node's code. */
const remedies: Readonly<Record<string, () => string>> = {
  ENOENT: () => `there is no such directory; ${mount}`,
  ENOTDIR: () => `it is not a directory; ${mount}`,
  EROFS: () => `it is read-only; ${mount}, without readOnly`,
  EACCES: () =>
    `${user()} may not write there; ${mount}, as an emptyDir, or set fsGroup in the pod's securityContext for other volumes`,
  ENOSPC: () => "no space is left on the volume; raise its sizeLimit, or the node's ephemeral storage",
  EDQUOT: () => "the quota of the volume is used up; raise it"
}

const cannot =
  (directory: string) =>
  (error: unknown): CannotInstall => {
    const { code = "", message } = error as NodeJS.ErrnoException
    return new CannotInstall({ directory, detail: remedies[code === "EPERM" ? "EACCES" : code]?.() ?? message })
  }

const sha256Of = async (file: string): Promise<string> => {
  const hash = createHash("sha256")
  await pipeline(Fs.createReadStream(file, { highWaterMark: 1 << 20 }), hash)
  return hash.digest("hex")
}

/** Copies in the making are hidden files; Velero does not start them, for they may not be executed. */
const isCopyOf = (name: string) => (file: string) =>
  file.startsWith(`.${name}.`) && /^[0-9a-f]{12}\.part$/.test(file.slice(name.length + 2))

/** What copies that were interrupted have left. */
const sweep = (directory: string, name: string): void => {
  for (const file of Fs.readdirSync(directory).filter(isCopyOf(name))) {
    Fs.rmSync(Path.join(directory, file), { force: true })
  }
}

const sameFile = async (target: string, { sha256, size }: { readonly sha256: string; readonly size: number }) => {
  const found = Fs.lstatSync(target, { throwIfNoEntry: false })
  return found?.isFile() === true && found.size === size && (await sha256Of(target)) === sha256
}

/** Everybody may execute it: Velero may be another user. */
const allowAll = (file: string): void => {
  if ((Fs.statSync(file).mode & 0o777) !== mode) Fs.chmodSync(file, mode)
}

/** A check before the first byte: a directory, and one that this user can change. */
const assertDirectory = (directory: string): void => {
  if (!Fs.statSync(directory).isDirectory()) throw Object.assign(new Error(), { code: "ENOTDIR" })
  Fs.accessSync(directory, Fs.constants.W_OK | Fs.constants.X_OK)
}

/**
 * Copies the file under each name, mode 0755. A copy that is there already is left as it is, so it can be run again and again.
 *
 * Where two processes do this at once each renames a whole file of its own, and the last one wins; or one fails, since the
 * other has taken its unfinished copy for what an interrupted one had left.
 */
export const install = ({ directory, names, source }: Options): Effect.Effect<Installation, CannotInstall> =>
  Effect.gen(function* () {
    const attempt = <A>(work: () => A | Promise<A>) =>
      Effect.tryPromise({ try: async () => work(), catch: cannot(directory) })
    yield* attempt(() => assertDirectory(directory))
    const size = yield* attempt(() => Fs.statSync(source).size)
    const sha256 = yield* attempt(() => sha256Of(source))

    const copy = Effect.fnUntraced(function* (name: string) {
      const target = Path.join(directory, name)
      const part = Path.join(directory, `.${name}.${randomBytes(6).toString("hex")}.part`)
      yield* attempt(async () => {
        if (Fs.lstatSync(target, { throwIfNoEntry: false })?.isDirectory() === true) {
          throw new Error(`${target} is a directory; remove it`)
        }
        await pipeline(
          Fs.createReadStream(source, { highWaterMark: 1 << 20 }),
          Fs.createWriteStream(part, { mode: 0o600, flags: "wx" })
        )
        if ((await sha256Of(part)) !== sha256) throw new Error("the copy differs from what was copied; try again")
        allowAll(part)
        Fs.renameSync(part, target)
      }).pipe(Effect.ensuring(Effect.sync(() => Fs.rmSync(part, { force: true }))))
    })

    const installed: Array<Installed> = []
    for (const name of names) {
      const target = Path.join(directory, name)
      yield* attempt(() => sweep(directory, name))
      const isThere = yield* attempt(() => sameFile(target, { sha256, size }))
      if (isThere) yield* attempt(() => allowAll(target))
      else yield* copy(name)
      installed.push({ name, changed: !isThere })
    }
    return { sha256, size, installed }
  })
