/** The way of the plugins to the API server: a connection like any other, until it stops to carry anything. */
import * as Net from "node:net"
import * as Effect from "effect/Effect"

export interface Link {
  /** Where it begins; it ends at the API server. */
  readonly port: number
  /** From now on nothing is carried, and nothing is refused: an API server that does not answer. */
  readonly hang: Effect.Effect<void>
  /** From now on everything is carried again. */
  readonly flow: Effect.Effect<void>
  /** How many connections wait. */
  readonly waiting: Effect.Effect<number>
}

/** Opens it; it is there until the scope closes. */
export const open = Effect.fnUntraced(function* (to: number) {
  const clients = new Set<Net.Socket>()
  let hangs = false

  const carry = (client: Net.Socket): void => {
    const server = Net.connect(to, "127.0.0.1")
    const end = () => {
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) socket.once("error", end).once("close", end)
    client.pipe(server)
    server.pipe(client)
  }

  const listener = yield* Effect.acquireRelease(
    Effect.callback<Net.Server>((resume) => {
      const server = Net.createServer({ pauseOnConnect: true }, (client) => {
        clients.add(client)
        client.once("error", () => client.destroy()).once("close", () => clients.delete(client))
        if (!hangs) carry(client)
      }).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.sync(() => {
        server.close()
        for (const client of clients) client.destroy()
      })
  )
  return {
    port: (listener.address() as Net.AddressInfo).port,
    hang: Effect.sync(() => {
      hangs = true
      // Those who are connected already would notice nothing.
      for (const client of clients) client.destroy()
    }),
    flow: Effect.sync(() => {
      hangs = false
      for (const client of clients) carry(client)
    }),
    waiting: Effect.sync(() => (hangs ? clients.size : 0))
  } satisfies Link
})
