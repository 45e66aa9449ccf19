/** Commands of `velero-plugin-filesystem`: the server behind signed URLs, and what belongs to it. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as FileServer from "../filesystem/FileServer.ts"
import { keySource } from "../filesystem/ObjectStore.ts"
import { Config } from "../filesystem/ObjectStore.ts"
import * as Schema from "effect/Schema"

/** A flag has a value that the location's config would refuse too. */
class InvalidFlags extends Data.TaggedError("InvalidFlags")<{ readonly detail: string }> {
  override get message() {
    return `the flags are wrong: ${this.detail}`
  }
}

/** The same values as in the location's config, and checked as there. */
const location = {
  root: Flag.String("root").pipe(
    Flag.withDescription("root of the BackupStorageLocation's config: the directory that has one for each bucket"),
    Flag.withMetavar("DIR")
  ),
  signingKeyFile: Flag.String("signing-key-file").pipe(
    Flag.withDescription("signingKeyFile of the location's config (default: a file in the root)"),
    Flag.withMetavar("FILE"),
    Flag.optional
  ),
  signingKeySecret: Flag.String("signing-key-secret").pipe(
    Flag.withDescription("signingKeySecret of the location's config: [NAMESPACE/]NAME"),
    Flag.withMetavar("SECRET"),
    Flag.optional
  )
}

const decode = Schema.decodeUnknownEffect(Config, { errors: "all" })

const configOf = (flags: {
  readonly root: string
  readonly signingKeyFile: Option.Option<string>
  readonly signingKeySecret: Option.Option<string>
}) =>
  decode(
    Object.fromEntries([
      ["root", flags.root],
      ...Option.toArray(flags.signingKeyFile).map((file) => ["signingKeyFile", file]),
      ...Option.toArray(flags.signingKeySecret).map((secret) => ["signingKeySecret", secret])
    ])
  ).pipe(Effect.mapError(({ message }) => new InvalidFlags({ detail: message.replace(/\s*\n\s*/g, " ") })))

/** Loaded and asked only where the key is in a Secret. */
const kubernetes = Layer.unwrap(Effect.promise(async () => (await import("../kubernetes/ApiServer.ts")).layer))

/** The first process of a container gets no signal that it has not asked for. */
const asked = Effect.callback<void>((resume) => {
  const end = () => resume(Effect.void)
  process.once("SIGTERM", end).once("SIGINT", end)
  return Effect.sync(() => process.off("SIGTERM", end).off("SIGINT", end))
})

const serveFiles = Command.make(
  "serve-files",
  {
    ...location,
    port: Flag.Int("port").pipe(Flag.withDefault(8090), Flag.withDescription("TCP port")),
    host: Flag.String("host").pipe(
      Flag.withDescription("Address to listen on (default: all)"),
      Flag.withMetavar("ADDRESS"),
      Flag.optional
    )
  },
  (flags) =>
    Effect.scoped(
      Effect.gen(function* () {
        const config = yield* configOf(flags)
        yield* FileServer.serve({
          root: config.root,
          keys: yield* keySource(config),
          port: flags.port,
          host: Option.getOrUndefined(flags.host)
        })
        yield* asked
      })
    ).pipe(Effect.provide(Layer.mergeAll(kubernetes, Logger.layer([Logger.consoleJson]))))
).pipe(
  Command.withDescription(
    "Serve objects to whoever has a signed URL of velero backup logs, describe or download. Runs beside Velero; publicUrl of the location's config is where it is reached."
  )
)

const rotateSigningKey = Command.make(
  "rotate-signing-key",
  location,
  Effect.fnUntraced(function* (flags) {
    const keys = yield* keySource(yield* configOf(flags))
    yield* keys.rotate
    yield* Console.log(`${keys.where}: a new key signs; the one before it is accepted until the next rotation`)
  }, Effect.provide(kubernetes))
).pipe(Command.withDescription("Make a new signing key; URLs that the last one has signed stay valid."))

export const commands = [serveFiles, rotateSigningKey] as const
