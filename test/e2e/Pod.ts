/**
 * The pod of a Job, without kubelet and containers: its programs run as processes of this machine, with the commands, variables,
 * volumes, user and service account that the Job's template says.
 *
 * An image is the machine's own `/usr` and `/etc`, and the programs that the image would bring; each process sees them, and the
 * pod's volumes in their places, in a mount namespace of its own. The pod's network has the API server and the S3 server, at the
 * addresses that they have outside, and no way out. Process ids, resource limits and everything else are the machine's.
 */
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Build from "./Build.ts"
import * as Components from "./Components.ts"
import * as Database from "./Database.ts"
import type { Container, Job, Saved, Strings } from "./Objects.ts"
import { untilTrue } from "./Poll.ts"
import { CommandFailed, Processes } from "./Processes.ts"
import { Stand } from "./Stand.ts"

/** What an image adds to the machine's own files. */
interface Image {
  /** Source of each path in it. */
  readonly files: Strings
  readonly env: Strings
  readonly entrypoint: ReadonlyArray<string>
}

/** The images of an instance's pods. */
const imageOf = Effect.fnUntraced(function* ({ image = "" }: Container) {
  const manager = Effect.fnUntraced(function* (component: Components.Component, env: Strings) {
    const built = yield* Build.build(component)
    return { files: { "/manager": built.bin("manager") }, env, entrypoint: ["/manager"] } satisfies Image
  })
  const { barmanEnv, postgresEnv } = yield* Database.programs
  if (image.includes("/plugin-barman-cloud-sidecar:")) return yield* manager(Components.barmanCloud, barmanEnv)
  const version = Components.operatorVersions.find((version) => image.endsWith(`/cloudnative-pg:${version}`))
  if (version !== undefined) return yield* manager(Components.operator(version), {})
  return { files: {}, env: postgresEnv, entrypoint: [] } satisfies Image
})

const isRoot = process.getuid?.() === 0

/** In a user namespace everybody is root, as far as the other namespaces are concerned. */
const userNamespace = isRoot ? [] : ["--user", "--map-root-user"]

const checkNamespaces = Effect.flatMap(Processes, ({ run: runCommand }) =>
  Effect.mapError(
    runCommand("unshare", [...userNamespace, "--mount", "--net", "true"]),
    ({ output, reason }) =>
      new CommandFailed({
        command: "unshare --mount --net",
        reason: `a pod needs namespaces for mounts and network, and they are refused here (${reason}). Root needs CAP_SYS_ADMIN; others need a kernel that lets them make user namespaces`,
        output
      })
  )
)

/**
 * Builds a root folder and becomes a program in it, as another user: root changes to it, somebody else is called it. Arguments: the
 * folder; the user's id; `change` or `call`; source and target of each mount; `--`; the program. Everything is mounted for this
 * process only, and gone with it.
 */
const enter = `
set -eu; umask 022
root=$1 user=$2 how=$3
shift 3
mount -t tmpfs tmpfs "$root"
for entry in /*; do
  case $entry in /var | /run | /boot | /lost+found) continue ;; esac
  if [ -L "$entry" ]; then cp -P "$entry" "$root$entry"
  elif [ -d "$entry" ]; then mkdir "$root$entry"; mount --rbind "$entry" "$root$entry"
  fi
done
while [ "$1" != -- ]; do
  if [ ! -e "$root$2" ]; then
    mkdir -p "$(dirname "$root$2")"
    if [ -d "$1" ]; then mkdir "$root$2"; else touch "$root$2"; fi
  fi
  mount --bind "$1" "$root$2"
  shift 2
done
shift
cd /
if [ "$how" = change ]; then exec chroot --userspec="$user:$user" --groups= "$root" "$@"; fi
exec unshare --user --map-user="$user" --map-group="$user" --root="$root" "$@"
`

/** The account that `runAsUser` is in CloudNativePG's images. */
const accounts = (user: number): string =>
  `${Fs.readFileSync("/etc/passwd", "utf8")}postgres:x:${user}:${user}::/var/lib/postgresql:/bin/sh\n`

/**
 * Holds the pod's network: a loopback interface with nothing behind it but some ports of the machine, each through a socket in a
 * folder. Arguments: the folder; the ports. Python, since whoever runs this needs it anyway, and a shell cannot do it.
 */
const holdNetwork = `
import asyncio, fcntl, os, socket, struct, sys

folder, ports = sys.argv[1], sys.argv[2:]
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP | IFF_RUNNING))

async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()

def relay(port):
    async def connect(reader, writer):
        far_reader, far_writer = await asyncio.open_unix_connection(os.path.join(folder, port))
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
    return connect

async def main():
    servers = [await asyncio.start_server(relay(port), "127.0.0.1", int(port)) for port in ports]
    open(os.path.join(folder, "ready"), "w").close()
    await asyncio.gather(*(server.serve_forever() for server in servers))

asyncio.run(main())
`

/** Starts a network in which some of the machine's ports are where they are outside. Yields who holds it. */
const startNetwork = Effect.fnUntraced(function* (name: string, directory: string, ports: ReadonlyArray<string>) {
  const processes = yield* Processes
  const { python } = yield* Database.programs
  Fs.mkdirSync(directory)
  for (const port of ports) {
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        Net.createServer({ allowHalfOpen: true }, (near) => {
          const far = Net.connect({ port: Number(port), host: "127.0.0.1", allowHalfOpen: true })
          near.on("error", () => far.destroy()).pipe(far)
          far.on("error", () => near.destroy()).pipe(near)
        }).listen(Path.join(directory, port))
      ),
      (server) => Effect.sync(() => void server.close())
    )
  }
  const holder = yield* processes.start(`${name}-network`, "unshare", [
    ...userNamespace,
    "--net",
    python,
    "-c",
    holdNetwork,
    directory,
    ...ports
  ])
  yield* Effect.raceFirst(
    untilTrue(
      `${holder.name} is there`,
      "30 seconds",
      Effect.sync(() => Fs.existsSync(Path.join(directory, "ready")))
    ),
    processes.broken
  )
  return holder.pid
})

interface Mount {
  readonly source: string
  readonly target: string
}

const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

/** What the API server's admission adds to a pod for its service account, and kubelet fills. */
const writeServiceAccount = Effect.fnUntraced(function* (namespace: string, name: string, directory: string) {
  const { api, kubeconfig } = yield* Stand
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`
  const request = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} }
  const answer = (yield* api.request("POST", path, request)) as { readonly status: { readonly token: string } }
  const config = JSON.parse(Fs.readFileSync(kubeconfig("admin"), "utf8")) as {
    readonly clusters: readonly [{ readonly cluster: Strings }]
  }
  const { "certificate-authority-data": ca = "", server = "" } = config.clusters[0].cluster
  Fs.mkdirSync(directory)
  for (const [file, content] of Object.entries({
    token: answer.status.token,
    "ca.crt": Buffer.from(ca, "base64").toString("utf8"),
    namespace
  })) {
    Fs.writeFileSync(Path.join(directory, file), content)
  }
  const { hostname, port } = new URL(server)
  return { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port }
})

/** Runs a Job's pod to its end, in a folder of its own; yields the folder of each volume. */
export const run = Effect.fn("Pod.run")(function* ({ metadata, spec }: Saved<Job>, directory: string) {
  const processes = yield* Processes
  const { s3 } = yield* Stand
  yield* checkNamespaces
  const { containers, initContainers = [], securityContext, serviceAccountName = "", volumes = [] } = spec.template.spec
  const user = securityContext?.runAsUser ?? 0
  const folder = (name: string) => Path.join(directory, name)
  for (const { name } of volumes) Fs.mkdirSync(folder(`volume-${name}`), { recursive: true })
  const environment = yield* writeServiceAccount(
    metadata.namespace ?? "",
    serviceAccountName,
    folder("service-account")
  )
  Fs.writeFileSync(folder("passwd"), accounts(user))
  const ports = [environment.KUBERNETES_SERVICE_PORT, new URL((yield* s3).url).port]
  const network = yield* startNetwork(metadata.name, folder("network"), ports)
  if (isRoot) yield* processes.run("chown", ["--recursive", `${user}:${user}`, directory])

  const lineOf = ({ args = [], command, env = [], name, volumeMounts = [] }: Container, image: Image) => {
    const root = folder(`root-${name}`)
    Fs.mkdirSync(root, { recursive: true })
    const mounts: ReadonlyArray<Mount> = [
      { source: folder("passwd"), target: "/etc/passwd" },
      { source: folder("service-account"), target: serviceAccount },
      ...Object.entries(image.files).map(([target, source]) => ({ source, target })),
      ...volumeMounts.map((mount) => ({ source: folder(`volume-${mount.name}`), target: mount.mountPath }))
    ]
    const variables = {
      ...environment,
      ...image.env,
      ...Object.fromEntries(env.map((variable) => [variable.name, variable.value ?? ""]))
    }
    return [
      `--target=${network}`,
      "--net",
      ...(isRoot ? [] : ["--user", "--preserve-credentials"]),
      "unshare",
      "--mount",
      "sh",
      "-c",
      enter,
      "sh",
      root,
      String(user),
      isRoot ? "change" : "call",
      ...mounts.flatMap(({ source, target }) => [source, target]),
      "--",
      "/usr/bin/env",
      "--ignore-environment",
      ...Object.entries(variables).map(([variable, value]) => `${variable}=${value}`),
      ...(command ?? image.entrypoint),
      ...args
    ]
  }

  for (const container of [...initContainers, ...containers]) {
    const image: Image = yield* imageOf(container)
    const line = lineOf(container, image)
    if (container.restartPolicy !== "Always") {
      yield* processes.run("nsenter", line)
      continue
    }
    yield* processes.start(`${metadata.name}-${container.name}`, "nsenter", line)
    const probe = container.startupProbe?.exec?.command
    if (probe === undefined) continue
    const probeLine = lineOf({ ...container, command: probe, args: [] }, image)
    yield* Effect.raceFirst(
      untilTrue(
        `container ${container.name} of ${metadata.name} has started`,
        "30 seconds",
        Effect.as(processes.run("nsenter", probeLine), true)
      ),
      processes.broken
    )
  }
  return (volume: string) => folder(`volume-${volume}`)
})
