/** Values of locations' configurations, and of the environment. */
import * as Path from "node:path"
import * as EffectConfig from "effect/Config"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** A directory or file by its whole path, without `..` and the like. */
export const AbsolutePath = Schema.String.check(
  Schema.makeFilter(
    (path) =>
      (Path.isAbsolute(path) && !path.includes("\0") && Path.resolve(path) === path.replace(/(?<=.)\/+$/, "")) ||
      "expected an absolute path without . and .. components"
  )
)

/** Where a browser or the velero command reaches `serve-files`. */
export const BaseUrl = Schema.String.check(
  Schema.makeFilter((text) => {
    const url = URL.parse(text)
    return (
      (url !== null && /^https?:$/.test(url.protocol) && url.search === "" && url.hash === "" && url.username === "") ||
      "expected an http or https URL without query, fragment and user"
    )
  })
)

/** `name`, in Velero's namespace, or `namespace/name`. */
export const SecretReference = Schema.String.check(
  Schema.makeFilter(
    (text) =>
      /^(?:[a-z0-9](?:[-a-z0-9]*[a-z0-9])?\/)?[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?$/.test(text) ||
      "expected the name of a Secret, or namespace/name"
  )
)

/** Where Velero lives, and its Secrets with it. */
export const veleroNamespace: Effect.Effect<string> = EffectConfig.String("VELERO_NAMESPACE").pipe(
  EffectConfig.withDefault("velero"),
  Effect.orDie
)
