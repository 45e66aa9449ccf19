import { assert, describe, it } from "@effect/vitest"
import * as References from "../../src/cnpg/References.ts"
import { legacy, pick, shop } from "./World.ts"

const referencesOf = (kind: string, spec: unknown): ReadonlyArray<string> =>
  References.of({ kind, metadata: { name: "orders", namespace: "shop" }, spec }).map(
    ({ name, purpose, resource }) => `${resource.kind} ${name}${purpose.vital ? "!" : ""}`
  )

const key = (name: string) => ({ name, key: "k" })

describe("a Cluster refers to", () => {
  it.for([
    ["its archive", { plugins: [{ parameters: { barmanObjectName: "s" } }] }, ["ObjectStore s!"]],
    [
      "archives and connections of others",
      {
        externalClusters: [
          { name: "a", plugin: { parameters: { barmanObjectName: "s" } } },
          { name: "b", password: key("p"), sslCert: key("c"), sslKey: key("k"), sslRootCert: key("r") },
          { name: "c", barmanObjectStore: { azureCredentials: { storageKey: key("z"), inheritFromAzureAD: true } } }
        ]
      },
      ["ObjectStore s", "Secret z", "Secret c", "Secret k", "Secret r", "Secret p"]
    ],
    [
      "the credentials of an in-tree archive",
      {
        backup: {
          barmanObjectStore: {
            s3Credentials: { accessKeyId: key("s3"), secretAccessKey: key("s3"), inheritFromIAMRole: false },
            googleCredentials: { applicationCredentials: key("g"), gkeEnvironment: true },
            endpointCA: key("ca")
          }
        }
      },
      ["Secret s3!", "Secret g!", "Secret ca!"]
    ],
    [
      "passwords",
      {
        superuserSecret: { name: "su" },
        bootstrap: { initdb: { secret: { name: "app" } } },
        managed: { roles: [{ name: "r", passwordSecret: { name: "role" } }, { name: "no password" }] }
      },
      ["Secret su", "Secret app", "Secret role"]
    ],
    [
      "certificates",
      { certificates: { serverCASecret: "a", serverTLSSecret: "b", clientCASecret: "c", replicationTLSSecret: "d" } },
      ["Secret a", "Secret b", "Secret c", "Secret d"]
    ],
    [
      "scripts, queries, environment, files",
      {
        bootstrap: {
          initdb: { postInitApplicationSQLRefs: { secretRefs: [key("sql")], configMapRefs: [key("sql-c")] } }
        },
        monitoring: { customQueriesConfigMap: [key("q")], customQueriesSecret: [key("qs")] },
        env: [
          { name: "A", value: "1" },
          { name: "B", valueFrom: { secretKeyRef: key("e") } }
        ],
        envFrom: [{ configMapRef: { name: "ec" } }],
        projectedVolumeTemplate: { sources: [{ secret: { name: "f" } }, { configMap: { name: "fc" } }] },
        imagePullSecrets: [{ name: "pull" }],
        postgresql: { ldap: { bindSearchAuth: { bindPassword: key("ldap") } } }
      },
      [
        "Secret pull",
        "Secret ldap",
        "ConfigMap q",
        "Secret qs",
        "Secret f",
        "ConfigMap fc",
        "Secret e",
        "ConfigMap ec",
        "Secret sql",
        "ConfigMap sql-c"
      ]
    ],
    ["an image catalog", { imageCatalogRef: { kind: "ImageCatalog", name: "i" } }, ["ImageCatalog i"]],
    ["a cluster-wide one", { imageCatalogRef: { kind: "ClusterImageCatalog", name: "i" } }, ["ClusterImageCatalog i"]],
    ["a catalog of nobody's", { imageCatalogRef: { kind: "Deployment", name: "i" } }, []]
  ] as const)("%s", ([, spec, expected]) => {
    assert.deepStrictEqual(referencesOf("Cluster", spec), [...expected])
  })

  it("each object once, in whatever ways", () => {
    const spec = { superuserSecret: { name: "s" }, imagePullSecrets: [{ name: "s" }, { name: "s" }] }
    assert.deepStrictEqual(referencesOf("Cluster", spec), ["Secret s"])
  })

  it.for([
    undefined,
    null,
    "text",
    3,
    [],
    {},
    { plugins: null },
    { plugins: { parameters: [] } },
    { superuserSecret: { name: "" } }
  ])("nothing where its spec is odd: %j", (spec) => {
    assert.deepStrictEqual(referencesOf("Cluster", spec), [])
  })
})

describe("other kinds refer to", () => {
  it("their Secrets", () => {
    assert.deepStrictEqual(
      referencesOf("ObjectStore", {
        configuration: { s3Credentials: { accessKeyId: key("a"), secretAccessKey: key("b") }, endpointCA: key("c") },
        instanceSidecarConfiguration: { env: [{ valueFrom: { secretKeyRef: key("e") } }] }
      }),
      ["Secret a!", "Secret b!", "Secret c!", "Secret e"]
    )
    assert.deepStrictEqual(
      referencesOf("Pooler", { pgbouncer: { authQuerySecret: { name: "q" }, clientCASecret: { name: "c" } } }),
      ["Secret q", "Secret c"]
    )
    assert.deepStrictEqual(referencesOf("DatabaseRole", { passwordSecret: { name: "p" } }), ["Secret p"])
    assert.deepStrictEqual(referencesOf("ConfigMap", { superuserSecret: { name: "p" } }), [])
  })

  it("what the examples refer to", () => {
    const of = ({ kind = "", spec }: ReturnType<typeof pick>) => referencesOf(kind, spec)
    assert.deepStrictEqual(of(pick(shop, "Cluster", "orders")), [
      "ObjectStore orders-store!",
      "ConfigMap cnpg-default-monitoring"
    ])
    assert.include(of(pick(legacy, "Cluster", "invoices")).join(), "!")
  })
})
