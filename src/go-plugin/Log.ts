/**
 * Log lines as go-plugin's host reads them from a plugin's stderr: one JSON object a line.
 *
 * The host takes `@message` and `@level` with unchecked type assertions, so anything but a string there kills the *host*;
 * Velero's backup log does the same with `resource`, `namespace` and `name`. Therefore every field is a string here. There is
 * no timestamp: the host stamps the line, and would refuse a timestamp with other than six fractional digits.
 *
 * @see https://github.com/hashicorp/go-plugin/blob/v1.6.0/client.go (logStderr)
 * @see https://github.com/hashicorp/go-plugin/blob/v1.6.0/log_entry.go (parseJSON)
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/framework/logger.go
 */
import * as Cause from "effect/Cause"
import * as Formatter from "effect/Formatter"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"

/** Level names of go-plugin's host. It has no `fatal`; an unknown name would hide the line at debug. */
export type HostLevel = "trace" | "debug" | "info" | "warn" | "error"

const hostLevels: Record<LogLevel.LogLevel, HostLevel> = {
  All: "trace",
  Trace: "trace",
  Debug: "debug",
  Info: "info",
  Warn: "warn",
  Error: "error",
  Fatal: "error",
  None: "info"
}

/** The host reads lines of at most 64 KiB, with the line feed; what is longer falls apart into debug lines. */
export const maximumLineBytes = 64 * 1024

/** One line, before it is written. */
export interface Entry {
  readonly level: HostLevel
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
  /** Text of an error that belongs to the line. */
  readonly error?: string | undefined
}

const asText = (value: unknown): string => {
  if (typeof value === "string") return value
  if (value instanceof Error) return value.message
  // Unlike `JSON.stringify` it takes cycles and bigints: a log line must not end the action that writes it.
  return typeof value === "object" && value !== null ? Formatter.formatJson(value) : String(value)
}

/** Keys with `@` are the host's: it would take `@timestamp` out, and refuse the line for its spelling. */
const textFields = (fields: Readonly<Record<string, unknown>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(fields)
      .filter(([key]) => !key.startsWith("@"))
      .map(([key, value]) => [key, asText(value)])
  )

const cutMark = " … [cut]"

/** Cuts to at most `bytes` bytes of UTF-8, and says so. */
const cut = (text: string, bytes: number): string =>
  Buffer.byteLength(text) <= bytes
    ? text
    : Buffer.from(text)
        .subarray(0, Math.max(0, bytes - Buffer.byteLength(cutMark)))
        .toString("utf8") + cutMark

/** JSON may spend six bytes on one byte of text (`\u0000`). */
const worstEscape = 6

/** The line, with its line feed, never longer than the host reads. */
export const formatEntry = ({ error, fields, level, message }: Entry): string => {
  const line = (kept: Record<string, string>, limit: number) => {
    const limited = Object.fromEntries(Object.entries(kept).map(([key, text]) => [key, cut(text, limit)]))
    return `${JSON.stringify({
      ...limited,
      ...(error === undefined ? {} : { error: cut(error, limit) }),
      "@logSourceSetBy": "plugin",
      "@level": level,
      "@message": cut(message, limit)
    })}\n`
  }
  const fits = (text: string) => Buffer.byteLength(text) <= maximumLineBytes
  const share = (parts: number) => Math.floor((maximumLineBytes - 1024) / parts / worstEscape)
  const texts = textFields(fields)
  const whole = line(texts, Number.POSITIVE_INFINITY)
  if (fits(whole)) return whole
  const short = line(texts, share(Object.keys(texts).length + 2))
  // Where it is the keys that are too long or too many, the message is what counts.
  return fits(short) ? short : line({}, share(2))
}

/** Writes a line to the host. */
export type Write = (line: string) => void

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !(value instanceof Error) && !Array.isArray(value)

/** An Effect logger that writes such lines. Objects after the message become fields, a `Cause` becomes `error`. */
export const make = (write: Write): Logger.Logger<unknown, void> =>
  Logger.make(({ cause, fiber, logLevel, message }) => {
    const parts = Array.isArray(message) ? (message as ReadonlyArray<unknown>) : [message]
    const fields = Object.assign(
      {},
      fiber.getRef(References.CurrentLogAnnotations),
      ...parts.filter(isRecord)
    ) as Record<string, unknown>
    write(
      formatEntry({
        level: hostLevels[logLevel],
        message: parts
          .filter((part) => !isRecord(part))
          .map(asText)
          .join(" "),
        fields,
        error: cause.reasons.length > 0 ? Cause.pretty(cause) : undefined
      })
    )
  })

/** Replaces Effect's default logger, which writes to stdout and would break the handshake. */
export const layer = (options: { readonly write: Write; readonly level: LogLevel.LogLevel }): Layer.Layer<never> =>
  Layer.mergeAll(Logger.layer([make(options.write)]), Layer.succeed(References.MinimumLogLevel, options.level))
