/** etcd, the API server and its controllers. */
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import { generate } from "selfsigned"
import type { Api } from "../Api.ts"
import * as Apis from "../Api.ts"
import type { Built } from "../Build.ts"
import { Processes } from "../Processes.ts"
import type { Link } from "./Link.ts"
import * as Links from "./Link.ts"
import { freePorts, ready } from "./Servers.ts"

/** The users that the API server knows, and their groups. */
export const users = {
  /** May do everything. */
  admin: ["system:masters"],
  /** May do what `deploy/rbac.yaml` grants; comes over the link. */
  restricted: []
} as const
export type User = keyof typeof users

/** A running API server. */
export interface Cluster {
  readonly api: Api
  /** PEM of the certificate that every TLS server of the stand shows, and of its own authority. */
  readonly ca: string
  /** The folder of that certificate and its key. */
  readonly certificates: string
  /** Path of a kubeconfig for a user. */
  readonly kubeconfig: (user: User) => string
  /** The way of the plugins to it: that of a kubeconfig's, but one that can be cut. */
  readonly link: Link
}

/** A certificate for 127.0.0.1 that is its own authority, for every TLS server of the stand, and a key pair for service accounts. */
const writeCertificates = Effect.fnUntraced(function* (directory: string) {
  const { cert, private: key } = yield* Effect.promise(() =>
    generate([{ name: "commonName", value: "stand" }], {
      keyType: "rsa",
      keySize: 2048,
      algorithm: "sha256",
      extensions: [
        { name: "basicConstraints", cA: true, critical: true },
        { name: "keyUsage", digitalSignature: true, keyEncipherment: true, keyCertSign: true, critical: true },
        { name: "extKeyUsage", serverAuth: true },
        { name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] }
      ]
    })
  )
  // The file names are those that the operator looks for in its WEBHOOK_CERT_DIR.
  const [certFile, keyFile, publicFile] = ["apiserver.crt", "apiserver.key", "service-accounts.pub"].map((name) =>
    Path.join(directory, name)
  ) as [string, string, string]
  Fs.writeFileSync(certFile, cert)
  Fs.writeFileSync(keyFile, key, { mode: 0o600 })
  Fs.writeFileSync(publicFile, Crypto.createPublicKey(key).export({ type: "spki", format: "pem" }))
  return { cert, certFile, keyFile, publicFile }
})

const kubeconfigText = (url: string, ca: string, token: string): string =>
  JSON.stringify(
    {
      apiVersion: "v1",
      kind: "Config",
      clusters: [
        { name: "stand", cluster: { server: url, "certificate-authority-data": Buffer.from(ca).toString("base64") } }
      ],
      users: [{ name: "user", user: { token } }],
      contexts: [{ name: "stand", context: { cluster: "stand", user: "user" } }],
      "current-context": "stand"
    },
    undefined,
    2
  )

/** Starts them; they run until the scope closes. */
export const start = Effect.fnUntraced(function* (etcd: Built, kubernetes: Built) {
  const { directory, start: startServer } = yield* Processes
  const [clientPort, peerPort, apiPort, controllersPort] = (yield* freePorts(4)) as [number, number, number, number]
  const certificates = yield* writeCertificates(directory)
  const tokens = Object.fromEntries(
    Object.keys(users).map((user) => [user, Crypto.randomBytes(16).toString("hex")])
  ) as Record<User, string>
  const tokenFile = Path.join(directory, "tokens.csv")
  Fs.writeFileSync(
    tokenFile,
    Object.entries(users)
      .map(([user, groups]) => `${tokens[user as User]},${user},${user},"${groups.join(",")}"\n`)
      .join(""),
    { mode: 0o600 }
  )
  const url = `https://127.0.0.1:${apiPort}`
  const link = yield* Links.open(apiPort)
  const urls: Record<User, string> = { admin: url, restricted: `https://127.0.0.1:${link.port}` }
  const kubeconfig = (user: User) => Path.join(directory, `kubeconfig-${user}`)
  for (const user of Object.keys(users) as ReadonlyArray<User>) {
    Fs.writeFileSync(kubeconfig(user), kubeconfigText(urls[user], certificates.cert, tokens[user]), { mode: 0o600 })
  }
  const etcdUrl = `http://127.0.0.1:${clientPort}`
  yield* startServer("etcd", etcd.bin("etcd"), [
    `--data-dir=${Path.join(directory, "etcd")}`,
    "--unsafe-no-fsync",
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=http://127.0.0.1:${peerPort}`
  ])
  const apiServer = yield* startServer("kube-apiserver", kubernetes.bin("kube-apiserver"), [
    `--etcd-servers=${etcdUrl}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${apiPort}`,
    `--tls-cert-file=${certificates.certFile}`,
    `--tls-private-key-file=${certificates.keyFile}`,
    `--token-auth-file=${tokenFile}`,
    `--service-account-key-file=${certificates.publicFile}`,
    `--service-account-signing-key-file=${certificates.keyFile}`,
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    "--authorization-mode=RBAC",
    "--service-cluster-ip-range=10.0.0.0/24",
    "--disable-admission-plugins=ServiceAccount"
  ])
  const api = Apis.make({ url, ca: certificates.cert, token: tokens.admin })
  yield* ready(apiServer, Effect.as(api.request("GET", "/readyz"), true))
  yield* startServer("kube-controller-manager", kubernetes.bin("kube-controller-manager"), [
    `--kubeconfig=${kubeconfig("admin")}`,
    // Nodes and their addresses: there are none.
    "--controllers=*,-node-lifecycle-controller,-node-ipam-controller",
    // A claim that it sees before its volume waits for the next look, by default a quarter of a minute later.
    "--pvclaimbinder-sync-period=1s",
    `--service-account-private-key-file=${certificates.keyFile}`,
    `--root-ca-file=${certificates.certFile}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${controllersPort}`
  ])
  return { api, ca: certificates.cert, certificates: directory, kubeconfig, link } satisfies Cluster
})
