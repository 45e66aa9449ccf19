/**
 * How a host recognises a plugin: the magic cookie that it sets, and the one line that the plugin answers on stdout.
 *
 * Pure functions over the environment; the shapes are those of hashicorp/go-plugin.
 *
 * @see https://github.com/hashicorp/go-plugin/blob/v1.6.0/server.go (Serve, protocolVersion)
 * @see https://github.com/hashicorp/go-plugin/blob/v1.6.0/client.go (Start, which parses the line)
 */

/** The process environment. */
export type Environment = Readonly<Record<string, string | undefined>>

/** What host and plugin agreed on beforehand. */
export interface HandshakeConfig {
  readonly cookieKey: string
  readonly cookieValue: string
  /** Versions of the application's protocol that the plugin speaks, ascending. */
  readonly protocolVersions: readonly [number, ...ReadonlyArray<number>]
}

/** Whether a host that knows this plugin's cookie started the process. */
export const isStartedByHost = (env: Environment, config: HandshakeConfig): boolean =>
  env[config.cookieKey] === config.cookieValue

/** go-plugin's own words for a plugin that was started by hand. */
export const notAPluginHost = `This binary is a plugin. These are not meant to be executed directly.
Please execute the program that consumes these plugins, which will
load any plugins automatically
`

/**
 * The highest version that both sides have. Where they have none in common, or the host names none, the plugin announces its
 * lowest and leaves the refusal, with its better message, to the host.
 */
export const negotiateVersion = (offered: string | undefined, config: HandshakeConfig): number => {
  const host = new Set((offered ?? "").split(",").map((version) => Number.parseInt(version.trim(), 10)))
  return config.protocolVersions.findLast((version) => host.has(version)) ?? config.protocolVersions[0]
}

/** Where the plugin listens, and with which certificate. */
export interface Announcement {
  readonly protocolVersion: number
  readonly network: "unix" | "tcp"
  readonly address: string
  /** DER of the server's certificate under AutoMTLS. */
  readonly certificate: Uint8Array | undefined
  /** The answer to `PLUGIN_MULTIPLEX_GRPC`; absent when the host did not ask, since hosts before 1.6 do not know the field. */
  readonly multiplex: boolean | undefined
}

const coreProtocolVersion = 1

/** `CORE|APP|NETWORK|ADDRESS|PROTOCOL|CERTIFICATE[|MULTIPLEX]` and a line feed; the certificate is base64 without padding. */
export const handshakeLine = (announcement: Announcement): string => {
  const certificate =
    announcement.certificate === undefined
      ? ""
      : Buffer.from(announcement.certificate).toString("base64").replace(/=+$/, "")
  const fields = [
    coreProtocolVersion,
    announcement.protocolVersion,
    announcement.network,
    announcement.address,
    "grpc",
    certificate,
    ...(announcement.multiplex === undefined ? [] : [announcement.multiplex])
  ]
  return `${fields.join("|")}\n`
}
