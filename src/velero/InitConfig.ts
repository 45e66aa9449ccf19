/**
 * The configuration that object stores and volume snapshotters get from Velero: the `config` of a BackupStorageLocation or
 * VolumeSnapshotLocation, decoded by the implementation's own schema.
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/framework/validation.go
 *
 * @module
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** A key that the implementation does not know; Velero's own words. */
export class InvalidConfigKeys extends Data.TaggedError("InvalidConfigKeys")<{
  readonly invalid: ReadonlyArray<string>
  readonly valid: ReadonlyArray<string>
}> {
  override get message() {
    return `config has invalid keys [${this.invalid.join(" ")}]; valid keys are [${this.valid.join(" ")}]`
  }
}

/** A value that the implementation does not understand. */
export class InvalidConfig extends Data.TaggedError("InvalidConfig")<{
  readonly plugin: string
  readonly detail: string
}> {
  override get message() {
    return `the config of ${this.plugin} is wrong: ${this.detail}. Correct it in the location's spec.config`
  }
}

/**
 * Decodes a configuration; `hostKeys` are those that Velero adds by itself, and may be among the schema's.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import * as InitConfig from "velero-plugin-cnpg/velero/InitConfig"
 *
 * const decode = InitConfig.decoder(Schema.Struct({ root: Schema.String }), ["bucket"])
 * await Effect.runPromise(decode("example.com/store", { root: "/srv", bucket: "b" })) // => { root: "/srv" }
 * const { message } = await Effect.runPromise(Effect.flip(decode("example.com/store", { rot: "/srv" })))
 * message // => "config has invalid keys [rot]; valid keys are [bucket root]"
 * ```
 */
export const decoder = <Config>(
  schema: Schema.ConstraintDecoder<Config> & { readonly fields: Schema.Struct.Fields },
  hostKeys: ReadonlyArray<string>
) => {
  const decode = Schema.decodeEffect(schema, { errors: "all" })
  const own = Object.keys(schema.fields)
  const valid = [...new Set([...own, ...hostKeys])].toSorted()
  return (
    plugin: string,
    config: Readonly<Record<string, string>>
  ): Effect.Effect<Config, InvalidConfigKeys | InvalidConfig> => {
    const invalid = Object.keys(config)
      .filter((key) => !valid.includes(key))
      .toSorted()
    if (invalid.length > 0) return Effect.fail(new InvalidConfigKeys({ invalid, valid }))
    return Effect.mapError(
      decode(config),
      (error) => new InvalidConfig({ plugin, detail: error.message.replace(/\s*\n\s*/g, " ") })
    )
  }
}
