/**
 * Commands for people, on the executable that Velero loads. They are loaded only when somebody types one.
 *
 * @module
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Argument from "effect/cli/Argument"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Plugin } from "../velero/Plugin.ts"
import * as Cluster from "./Cluster.ts"
import { type Installable, installCommands } from "./InstallCommands.ts"
import { hasColours, outputWithPage } from "./Output.ts"
import { pluginsCommand } from "./Plugins.ts"
import * as Preview from "./Preview.ts"
import type * as Html from "./preview/Html.ts"
import * as Render from "./Render.ts"

/** The preview was shown, and an action failed in it. */
class ActionFailed extends Data.TaggedError("ActionFailed") {
  override get message() {
    return "an action failed on an item; see the lines marked with !"
  }
}

/** There is nothing to preview. */
class NothingGiven extends Data.TaggedError("NothingGiven")<{ readonly program: string }> {
  override get message() {
    return `name manifests or the tarball of a backup, or a cluster with --context NAME; more: ${this.program} preview --help`
  }
}

const keyValues = (name: string) =>
  Flag.KeyValuePair(name).pipe(Flag.optional, Flag.map(Option.getOrElse((): Record<string, string> => ({}))))

/** A preview, as it was asked for. */
const printed = (shown: Preview.Preview, output: "text" | "json" | "html", by: Omit<Html.Origin, "at">) =>
  Effect.gen(function* () {
    switch (output) {
      case "json":
        return JSON.stringify(Render.toJson(shown), undefined, 2)
      case "html": {
        const { page } = yield* Effect.promise(() => import("./preview/Html.ts"))
        return page(shown, { ...by, at: DateTime.formatIso(yield* DateTime.now) }).trimEnd()
      }
      case "text":
        return Render.render(shown, Render.style(hasColours()))
    }
  })

/** The pack that a preview is of. */
export type Previewed = Pick<Program, "name" | "plugins" | "version">

const clusterFlags = (subject: Preview.Subject) => ({
  context: Cluster.context,
  kubeconfig: Cluster.kubeconfig,
  namespace: Flag.String("namespace").pipe(
    Flag.withAlias("n"),
    Flag.optional,
    Flag.withMetavar("NAMESPACE"),
    Flag.withDescription(`Of the cluster, ${subject.title} of this namespace only (default: all)`)
  ),
  veleroNamespace: Cluster.veleroNamespace
})

interface ClusterFlags {
  readonly context: Option.Option<string>
  readonly kubeconfig: Option.Option<string>
  readonly namespace: Option.Option<string>
  readonly veleroNamespace: string
}

const noCluster: ClusterFlags = {
  context: Option.none(),
  kubeconfig: Option.none(),
  namespace: Option.none(),
  veleroNamespace: "velero"
}

/** `preview`, for packs with item actions. Of a cluster only for those that are about something. */
export const preview = ({ name: program, plugins, version }: Previewed, subject?: Preview.Subject) =>
  Command.make(
    "preview",
    {
      files: Argument.String("FILE").pipe(
        Argument.withDescription(
          "Manifests (YAML with any number of documents, JSON, or a List), or the tarball of a backup; - is standard input"
        ),
        Argument.variadic({ min: subject === undefined ? 1 : 0 })
      ),
      namespaceMapping: keyValues("map-namespace").pipe(
        Flag.withDescription("Restore namespace a into b, as velero restore create --namespace-mappings a:b does"),
        Flag.withMetavar("a=b")
      ),
      backupAnnotations: keyValues("annotate-backup").pipe(
        Flag.withDescription("Annotation of the Velero Backup, such as velero-cnpg/on-demand-backup=true"),
        Flag.withMetavar("key=value")
      ),
      restoreAnnotations: keyValues("annotate-restore").pipe(
        Flag.withDescription("Annotation of the Velero Restore, such as velero-cnpg/recover-from=volumes"),
        Flag.withMetavar("key=value")
      ),
      given: subject === undefined ? {} : clusterFlags(subject),
      output: outputWithPage
    },
    Effect.fnUntraced(function* ({ backupAnnotations, files, given, namespaceMapping, output, restoreAnnotations }) {
      const { context, kubeconfig, namespace, veleroNamespace }: ClusterFlags = { ...noCluster, ...given }
      const isOfCluster = [context, kubeconfig, namespace].some(Option.isSome)
      if (files.length === 0 && !isOfCluster) return yield* new NothingGiven({ program })
      const shown = yield* Preview.run({
        executable: process.execPath,
        plugins,
        subject,
        files,
        namespaceMapping,
        backupAnnotations,
        restoreAnnotations,
        cluster:
          isOfCluster && subject !== undefined
            ? {
                subject,
                kubernetes: Cluster.layer({ context, kubeconfig }),
                name: Option.match(context, {
                  onNone: () => "the current context",
                  onSome: (name) => `context ${name}`
                }),
                namespace: Option.getOrUndefined(namespace),
                veleroNamespace
              }
            : undefined
      })
      yield* Console.log(yield* printed(shown, output, { program, version }))
      if (Preview.hasFailed(shown)) return yield* new ActionFailed()
    })
  ).pipe(
    Command.withDescription(
      `Show what a Velero backup of these manifests${subject === undefined ? "" : " (or of a cluster)"} would record and what a restore would change; or what a restore of a backup, by its tarball, would. Nothing is changed anywhere.`
    ),
    Command.withExamples([
      { command: `${program} preview shop.yaml`, description: "Restore in place" },
      {
        command: `kubectl get -n shop cluster,backup,objectstore,pvc,svc,secret,deploy -o yaml | ${program} preview - --map-namespace shop=shop2`,
        description: "Restore a living namespace beside itself"
      },
      {
        command: `velero backup download shop && ${program} preview shop-data.tar.gz`,
        description: "Restore a backup that there is"
      },
      {
        command: `${program} preview shop.yaml -o html > preview.html`,
        description: "A page for a review or a change ticket"
      },
      ...(subject === undefined
        ? []
        : [
            {
              command: `${program} preview --context production -n shop`,
              description: "Lose a living namespace and restore it, on a copy"
            }
          ])
    ])
  )

/** What the commands of one executable say of it. */
export interface Program extends Installable {
  readonly description: string
  readonly plugins: ReadonlyArray<Plugin<unknown>>
  /** Instead of `preview` alone. Their errors carry a sentence for people. */
  readonly commands?: ReadonlyArray<Command.Command.Any>
}

/** What `withSubcommands` no longer knows of commands that came in a list. */
type Root = Command.Command<string, unknown, unknown, { readonly message: string }, Command.Environment>

/** Runs a command; resolves with the exit code. */
export const run = async (program: Program, args: ReadonlyArray<string>): Promise<number> => {
  const { commands, description, name, plugins, version } = program
  const root = Command.make(name).pipe(
    Command.withDescription(
      `${description} Velero starts this executable itself, from its plugin directory; by hand it has these commands.`
    ),
    Command.withSubcommands([
      ...(commands ?? [preview(program)]),
      pluginsCommand(name, plugins),
      ...installCommands(program)
    ])
  ) as Root
  const exit = await Effect.runPromiseExit(
    Command.runWith(root, { version })(args).pipe(
      // The command line's own errors have been explained already, with the help.
      Effect.tapError((error) =>
        CliError.isCliError(error)
          ? Effect.void
          : Effect.sync(() => process.stderr.write(`${name}: ${error.message}\n`))
      ),
      Effect.tapCause((cause) =>
        Cause.hasDies(cause)
          ? Effect.sync(() =>
              process.stderr.write(`${name}: internal error, please report it: ${Cause.pretty(cause)}\n`)
            )
          : Effect.void
      ),
      Effect.provide(NodeServices.layer)
    )
  )
  return Exit.isSuccess(exit) ? 0 : 1
}
