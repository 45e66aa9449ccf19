/**
 * A unix socket that speaks HTTP/2, with TLS if it is asked for.
 *
 * Without TLS it is Bun's own socket, which costs next to nothing to start; Node's streams are loaded for TLS only.
 */
import type * as Http2 from "./Http2.ts"
import * as Http2Connection from "./Http2.ts"

/** PEM texts. Only a client with this very certificate is let in. */
export interface Tls {
  readonly clientCertificate: string
  readonly certificate: string
  readonly privateKey: string
}

export interface Listener {
  /** No new connections and streams; resolves when the last one is done. */
  readonly finish: () => Promise<void>
  /** Ends every connection at once. */
  readonly abort: () => void
}

type Accept = (stream: Http2.Stream) => Http2.Receiver

/** The connections of a listener. */
const makeConnections = (accept: Accept) => {
  const open = new Map<Http2.Connection, () => void>()
  let done: (() => void) | undefined
  const check = () => {
    if (open.size === 0) done?.()
  }
  return {
    add: (output: Http2.Output, destroy: () => void): Http2.Connection => {
      const connection = Http2Connection.make(output, accept)
      open.set(connection, destroy)
      return connection
    },
    remove: (connection: Http2.Connection) => {
      connection.closed()
      open.delete(connection)
      check()
    },
    finish: () =>
      new Promise<void>((resolve) => {
        done = resolve
        for (const connection of Array.from(open.keys())) connection.finish()
        check()
      }),
    abort: () => {
      for (const destroy of Array.from(open.values())) destroy()
    }
  }
}

/** What the kernel did not take yet, in order. */
interface Pending {
  connection: Http2.Connection
  waiting: Array<Uint8Array>
  isEnding: boolean
}

const plain = (path: string, accept: Accept): Listener => {
  const connections = makeConnections(accept)

  /** Writes what waits; true when nothing is left. */
  const drain = (socket: Bun.Socket<Pending>): boolean => {
    const { waiting } = socket.data
    for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
      const written = Math.max(0, socket.write(first))
      if (written < first.length) {
        waiting[0] = first.subarray(written)
        return false
      }
      waiting.shift()
    }
    if (socket.data.isEnding) socket.end()
    return true
  }

  const server = Bun.listen<Pending>({
    unix: path,
    socket: {
      open: (socket) => {
        const pending = { waiting: [], isEnding: false } as Omit<Pending, "connection"> as Pending
        socket.data = pending
        const output: Http2.Output = {
          write: (bytes) => {
            pending.waiting.push(bytes)
            return pending.waiting.length > 1 ? false : drain(socket)
          },
          end: () => {
            pending.isEnding = true
            if (pending.waiting.length === 0) socket.end()
          }
        }
        pending.connection = connections.add(output, () => socket.terminate())
      },
      data: (socket, bytes) => socket.data.connection.receive(bytes),
      drain: (socket) => {
        if (drain(socket)) socket.data.connection.writable()
      },
      close: (socket) => connections.remove(socket.data.connection),
      error: (socket) => socket.terminate()
    }
  })
  return {
    finish: () => {
      server.stop()
      return connections.finish()
    },
    abort: connections.abort
  }
}

const secure = async (path: string, tls: Tls, accept: Accept): Promise<Listener> => {
  const { createServer } = await import("node:tls")
  const connections = makeConnections(accept)
  const server = createServer(
    {
      ca: tls.clientCertificate,
      cert: tls.certificate,
      key: tls.privateKey,
      requestCert: true,
      rejectUnauthorized: true,
      ALPNProtocols: ["h2"]
    },
    (socket) => {
      const output: Http2.Output = {
        write: (bytes) => socket.write(bytes),
        // Whether the client closes its end or not.
        end: () => socket.end(() => socket.destroy())
      }
      const connection = connections.add(output, () => socket.destroy())
      socket.on("data", (bytes: Buffer) => {
        try {
          connection.receive(bytes)
        } catch {
          // As Bun does for its own sockets: the connection ends, and not the process.
          socket.destroy()
        }
      })
      socket.on("drain", () => connection.writable())
      socket.on("error", () => socket.destroy())
      // A client that half-closes is gone: nothing reads its answers.
      socket.on("end", () => socket.end())
      socket.on("close", () => connections.remove(connection))
    }
  )
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject)
    server.listen(path, resolve)
  })
  return {
    finish: () => {
      server.close()
      return connections.finish()
    },
    abort: connections.abort
  }
}

/** Listens on a path that does not exist yet. Rejects with what the kernel says. */
export const listen = async (path: string, tls: Tls | undefined, accept: Accept): Promise<Listener> =>
  tls === undefined ? plain(path, accept) : secure(path, tls, accept)
