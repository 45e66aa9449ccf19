/** `install` and `version`, which every executable has. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Install from "./Install.ts"

/** What these commands have to know of a program. */
export interface Installable {
  readonly name: string
  readonly version: string
  /** The packs that a copy of the same file is under another name: that name by the pack's. */
  readonly packs?: Readonly<Record<string, string>>
}

/** The command line asks for what there is not. */
class NotUnderstood extends Data.TaggedError("NotUnderstood")<{ readonly message: string }> {}

/** Where the init containers of Velero's plugins have its plugin volume. */
const target = "/target"

/** Names of the files of the packs that were chosen; by default the program's own. */
const filesOf = (
  { name, packs = {} }: Installable,
  chosen: string | undefined
): Effect.Effect<ReadonlyArray<string>, NotUnderstood> => {
  if (chosen === undefined) return Effect.succeed([name])
  const wanted = [...new Set(chosen.split(",").map((pack) => pack.trim()))]
  const unknown = wanted.find((pack) => packs[pack] === undefined)
  if (unknown === undefined) return Effect.succeed(wanted.flatMap((pack) => packs[pack] ?? []))
  const message = `there is no pack "${unknown}"; there are ${Object.keys(packs).join(", ")}`
  return Effect.fail(new NotUnderstood({ message }))
}

const install = (program: Installable) =>
  Command.make(
    "install",
    {
      directory: Argument.String("DIR").pipe(
        Argument.withDefault(target),
        Argument.withDescription(`Velero's plugin directory (default: ${target})`)
      ),
      packs: Object.keys(program.packs ?? {})
        .slice(0, 1)
        .map(() =>
          Flag.String("pack").pipe(
            Flag.optional,
            Flag.withMetavar("PACK,..."),
            Flag.withDescription(
              `Packs to install, of ${Object.keys(program.packs ?? {}).join(", ")} (default: this one)`
            )
          )
        )
    },
    Effect.fnUntraced(function* ({ directory, packs: [chosen = Option.none()] }) {
      const names = yield* filesOf(program, Option.getOrUndefined(chosen))
      // Of a program that is not compiled this file is the runtime.
      if (!import.meta.url.includes("/$bunfs/")) {
        return yield* new NotUnderstood({ message: "only a compiled executable can be installed" })
      }
      const { installed, sha256, size } = yield* Install.install({ source: process.execPath, directory, names })
      for (const { changed, name } of installed) {
        const where = `${changed ? "installed in" : "is already in"} ${directory}`
        yield* Console.log(`${name} ${program.version} ${where}, ${size} bytes, sha256:${sha256}`)
      }
    })
  ).pipe(
    Command.withDescription(
      "Copy this executable into Velero's plugin directory, as the init container of its image does. Velero loads it at its next start."
    ),
    Command.withExamples([
      { command: `${program.name} install`, description: `With Velero's plugin volume mounted at ${target}` },
      { command: `${program.name} install /plugins`, description: "Into another directory" }
    ])
  )

const version = (program: Installable) =>
  Command.make("version", {}, () =>
    Console.log(
      `${program.name} ${program.version}, linux/${process.arch === "x64" ? "amd64" : process.arch}, Bun ${process.versions["bun"]}`
    )
  ).pipe(Command.withDescription("Print the version, the platform and the runtime"))

export const installCommands = (program: Installable) => [install(program), version(program)] as const
