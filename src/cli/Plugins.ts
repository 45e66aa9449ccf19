/** `plugins`: what an executable offers to Velero, by its own registrations and selectors. */
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type { Kind, Plugin } from "../velero/Plugin.ts"
import type { ResourceSelector } from "../velero/Resources.ts"
import type { PluginNotLoaded, UnknownPlugin } from "../velero/wire/Registry.ts"
import * as Registry from "../velero/wire/Registry.ts"
import { hasColours, output, table } from "./Output.ts"
import * as Render from "./Render.ts"

/** A plugin, for people and programs. */
export interface Listed {
  readonly kind: Kind
  readonly name: string
  /** For which items Velero calls it; `null`: it is no item action. */
  readonly selector: ResourceSelector | null
  /** What it changes, in one sentence. */
  readonly description: string
}

/** Loads every plugin, which is where selectors are. */
export const list = (
  plugins: ReadonlyArray<Plugin<unknown>>
): Effect.Effect<ReadonlyArray<Listed>, UnknownPlugin | PluginNotLoaded> =>
  Effect.forEach(plugins, ({ description, kind, name }) =>
    Effect.map(Registry.find(plugins, kind)(name), (implementation) => ({
      kind,
      name,
      selector: "selector" in implementation ? implementation.selector : null,
      description
    }))
  )

/** A selector in words. */
export const selectorText = (selector: ResourceSelector | null): string => {
  if (selector === null) return "-"
  const part = (before: string, names: ReadonlyArray<string> | undefined) =>
    names === undefined || names.length === 0 ? [] : [`${before}${names.join(", ")}`]
  const { excludedNamespaces, excludedResources, includedNamespaces, includedResources, labelSelector } = selector
  const parts = [
    ...part("labelled ", labelSelector ? [labelSelector] : []),
    ...part("in ", includedNamespaces),
    ...part("not in ", excludedNamespaces),
    ...part("but for ", excludedResources)
  ]
  return [includedResources?.join(", ") || "every item", ...parts].join("; ")
}

/** Name, kind and selector in columns, and what each changes below it. */
export const render = (plugins: ReadonlyArray<Listed>, { faint, strong }: Render.Style): string => {
  const [head = "", ...rows] = table([
    ["NAME", "KIND", "CALLED FOR"],
    ...plugins.map(({ kind, name, selector }) => [name, kind, selectorText(selector)])
  ])
  return [
    strong(head),
    ...rows.flatMap((row, index) => {
      const description = plugins[index]?.description ?? ""
      return description === "" ? [row] : [row, faint(`  ${description}`)]
    })
  ].join("\n")
}

export const pluginsCommand = (program: string, plugins: ReadonlyArray<Plugin<unknown>>) =>
  Command.make(
    "plugins",
    { output },
    Effect.fnUntraced(function* ({ output }) {
      const listed = yield* list(plugins)
      yield* Console.log(
        output === "json" ? JSON.stringify(listed, undefined, 2) : render(listed, Render.style(hasColours()))
      )
    })
  ).pipe(
    Command.withDescription(
      "List the plugins in here: name, kind, the items that Velero calls them for, what they change"
    ),
    Command.withExamples([{ command: `${program} plugins --output json`, description: "As data" }])
  )
