/**
 * What a user can choose, in one of three places, of which the nearest wins: an annotation on the Velero Backup or Restore, the same
 * annotation on the Cluster, a key of a plugin's ConfigMap; else a default.
 *
 * A setting is data, so that the documentation can be checked against it. A value that means nothing is an error that names the place
 * and the right values; of an annotation only the nearest is looked at, a ConfigMap is right or wrong as a whole.
 */
import * as Data from "effect/Data"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

export interface Setting<A> {
  /** On the Velero object and, if `isOfCluster`, on the Cluster. */
  readonly annotation: string
  /** In the data of the plugin's ConfigMap. */
  readonly key: string
  /** The plugin whose ConfigMap it is. */
  readonly plugin: string
  /** The Velero object that is asked first. */
  readonly on: "Backup" | "Restore"
  /** Whether the setting is one of a Cluster, which then may carry the annotation. */
  readonly isOfCluster: boolean
  /** All right values, in words that go behind `it can be`. */
  readonly values: string
  /** The default, as one would write it. */
  readonly default: string
  /** What it is for: sentences for the documentation. */
  readonly description: string
  /** None for what means nothing. */
  readonly parse: (text: string) => Option.Option<A>
}

/** An annotation has a value that means nothing. */
export class InvalidSetting extends Data.TaggedError("InvalidSetting")<{
  readonly annotation: string
  /** `Restore monday`, `Cluster shop/orders` */
  readonly where: string
  readonly value: string
  readonly values: string
  readonly again: string
}> {
  override get message() {
    return `annotation ${this.annotation} on ${this.where} is ${JSON.stringify(this.value)}; it can be ${this.values}. Correct it and ${this.again} again`
  }
}

/** Data of a plugin's ConfigMap that `config` has found right. */
export type Config = Readonly<Record<string, string | undefined>>

/** Schema of the ConfigMap of a plugin with these settings. */
export const config = (settings: ReadonlyArray<Setting<unknown>>): Schema.ConstraintDecoder<Config> =>
  Schema.Struct(
    Object.fromEntries(
      settings.map(({ key, parse, values }) => [
        key,
        Schema.optionalKey(
          Schema.String.check(
            Schema.makeFilter((text: string) => (Option.isSome(parse(text)) ? undefined : `expected ${values}`))
          )
        )
      ])
    )
  )

type Annotations = Readonly<Record<string, string>> | null | undefined

/** Where a setting may stand. */
export interface Places {
  /** The Velero Backup or Restore. */
  readonly velero: {
    readonly metadata?: { readonly name?: string | null; readonly annotations?: Annotations } | null
  }
  /** The Cluster, as messages call it, and its annotations, wherever they were kept. */
  readonly cluster?: { readonly name: string; readonly annotations: Annotations }
  readonly config?: Config
}

/** A setting's text and its place; `undefined`: nobody said anything. */
export interface Given {
  readonly text: string
  /** `Restore monday`, `Cluster shop/orders`, `the plugin's ConfigMap` */
  readonly where: string
}

/** What somebody said of a setting, right or wrong. */
export const given = (
  { annotation, isOfCluster, key, on }: Pick<Setting<unknown>, "annotation" | "isOfCluster" | "key" | "on">,
  { cluster, config, velero }: Places
): Given | undefined => {
  const ofVelero = velero.metadata?.annotations?.[annotation]
  if (ofVelero !== undefined) return { text: ofVelero, where: `${on} ${velero.metadata?.name ?? ""}` }
  const ofCluster = isOfCluster ? cluster?.annotations?.[annotation] : undefined
  if (ofCluster !== undefined) return { text: ofCluster, where: cluster?.name ?? "" }
  const configured = config?.[key]
  return configured === undefined ? undefined : { text: configured, where: "the plugin's ConfigMap" }
}

/** The nearest word, else the default. */
export const choose = <A>(setting: Setting<A>, places: Places): Result.Result<A, InvalidSetting> => {
  const { text, where } = given(setting, places) ?? { text: setting.default, where: "nothing" }
  return Option.match(setting.parse(text), {
    onSome: Result.succeed,
    onNone: () =>
      Result.fail(
        new InvalidSetting({
          annotation: setting.annotation,
          where,
          value: text,
          values: setting.values,
          again: setting.on === "Restore" ? "restore" : "back up"
        })
      )
  })
}

/** Parses one of a few words. */
export const oneOf =
  <const A extends string>(...words: ReadonlyArray<A>) =>
  (text: string): Option.Option<A> =>
    Option.fromUndefinedOr(words.find((word) => word === text))
