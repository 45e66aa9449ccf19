/**
 * The arguments that a plugin gets from Velero's server.
 *
 * Velero up to 1.14 passes `--log-level LEVEL` and perhaps `--features a,b`; later ones pass all of the server's own flags on.
 * The log level and this difference matter here; everything else is accepted and ignored, whatever it is.
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/clientmgmt/process/client_builder.go
 *
 * @module
 */
import type * as LogLevel from "effect/LogLevel"

/** logrus' names, as Velero's flag takes them. */
const levels: Readonly<Record<string, LogLevel.LogLevel>> = {
  trace: "Trace",
  debug: "Debug",
  info: "Info",
  warn: "Warn",
  warning: "Warn",
  error: "Error",
  fatal: "Fatal",
  panic: "Fatal"
}

const flag = "--log-level"

/**
 * The level of the last `--log-level x` or `--log-level=x`, else of the variable LOG_LEVEL, else `Info`.
 *
 * @example
 * ```ts
 * import * as Flags from "velero-plugin-cnpg/velero/Flags"
 *
 * Flags.logLevel(["--log-level", "debug", "--features="], {}) // => "Debug"
 * Flags.logLevel([], { LOG_LEVEL: "warning" }) // => "Warn"
 * Flags.logLevel(["--unknown"], {}) // => "Info"
 * ```
 */
export const logLevel = (
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string | undefined>>
): LogLevel.LogLevel => {
  const given = args.flatMap((arg, index) => {
    if (arg.startsWith(`${flag}=`)) return [arg.slice(flag.length + 1)]
    return arg === flag ? [args[index + 1] ?? ""] : []
  })
  const known = [...given, ...(given.length === 0 ? [env["LOG_LEVEL"] ?? ""] : [])]
    .map((name) => (Object.hasOwn(levels, name.toLowerCase()) ? levels[name.toLowerCase()] : undefined))
    .findLast((level) => level !== undefined)
  return known ?? "Info"
}

/**
 * Whether the host knows item block actions, which Velero has since 1.15: one before ends at a kind that it does not know.
 *
 * Nothing tells a plugin the version of its host, but only those before pass just these arguments on. A later one whose operator
 * has given it just these is taken for one of them.
 *
 * @example
 * ```ts
 * import * as Flags from "velero-plugin-cnpg/velero/Flags"
 *
 * Flags.knowsItemBlocks(["--log-level", "info"]) // => false
 * Flags.knowsItemBlocks(["--log-level", "info", "--features", "EnableCSI"]) // => false
 * Flags.knowsItemBlocks([]) // => true
 * Flags.knowsItemBlocks(["--uploader-type=kopia", "--log-level=debug"]) // => true
 * ```
 */
export const knowsItemBlocks = (args: ReadonlyArray<string>): boolean =>
  !/^--log-level \S+( --features \S+)?$/.test(args.join(" "))
