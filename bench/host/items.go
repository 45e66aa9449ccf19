package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
)

type object = map[string]any

// mustJSON prints as Velero prints an item.
func mustJSON(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}

// uid is of the form that Kubernetes gives, and always the same for a name.
func uid(of string) string {
	sum := sha256.Sum256([]byte(of))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func metadata(namespace, name string) object {
	return object{
		"name": name, "namespace": namespace, "uid": uid(namespace + "/" + name),
		"resourceVersion": "184467", "creationTimestamp": "2026-11-19T02:00:00Z", "generation": 7,
		"labels": object{"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "Helm"},
	}
}

// deployment is one of about so many bytes of JSON, with or without the init
// container that the deployment plugin removes. It grows as real ones do: by
// containers' environment.
func deployment(name string, size int, hasMigration bool) []byte {
	environment := []any{}
	containers := []any{object{"name": "web", "image": "registry.internal/shop/web:1.27", "env": environment}}
	template := object{"containers": containers}
	if hasMigration {
		template["initContainers"] = []any{
			object{"name": "wait-for-migration-job", "image": "registry.internal/tools/kubectl:1.34", "command": []any{"kubectl", "wait", "job/migration"}},
			object{"name": "warm-up", "image": "registry.internal/shop/web:1.27"},
		}
	}
	item := object{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("shop", name),
		"spec":   object{"replicas": 3, "template": object{"metadata": object{"labels": object{"app": name}}, "spec": template}},
		"status": object{"replicas": 3, "readyReplicas": 3, "observedGeneration": 7},
	}
	variable := func(index int) object {
		return object{"name": fmt.Sprintf("SETTING_%05d", index), "value": fmt.Sprintf("https://service-%d.shop.svc:8443/path?limit=%d", index, index*17)}
	}
	length := len(mustJSON(item))
	for index := 0; length < size; index++ {
		one := variable(index)
		environment = append(environment, one)
		length += len(mustJSON(one)) + 1
	}
	containers[0].(object)["env"] = environment
	return mustJSON(item)
}

// cluster is a Cluster before its backup.
func cluster(namespace, name string) []byte { return clusterWith(namespace, name, object{}) }

// backedUp is a Cluster as a backup has it.
func backedUp(namespace, name string) []byte {
	return clusterWith(namespace, name, object{"velero-cnpg/serverName": name + "-v1", "velero-cnpg/current-backup-id": "20261119T020000"})
}

// pod is one of a Cluster's instances.
func pod(namespace, cluster string, index int) []byte {
	meta := metadata(namespace, fmt.Sprintf("%s-%d", cluster, index))
	meta["labels"] = object{"cnpg.io/cluster": cluster, "cnpg.io/podRole": "instance"}
	meta["ownerReferences"] = []any{object{
		"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "name": cluster, "controller": true, "uid": uid(namespace + "/" + cluster),
	}}
	return mustJSON(object{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": object{"containers": []any{object{"name": "postgres"}}}})
}

func clusterWith(namespace, name string, annotations object) []byte {
	meta := metadata(namespace, name)
	meta["annotations"] = annotations
	return mustJSON(object{
		"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": meta,
		"spec": object{
			"instances": 3, "imageName": "ghcr.io/cloudnative-pg/postgresql:18.1",
			"storage":   object{"size": "100Gi", "storageClass": "fast"},
			"bootstrap": object{"initdb": object{"database": "shop", "owner": "shop"}},
			"plugins": []any{object{
				"name": "barman-cloud.cloudnative-pg.io", "isWALArchiver": true,
				"parameters": object{"barmanObjectName": "store", "serverName": name + "-v1"},
			}},
			"postgresql": object{"parameters": object{"max_connections": "300", "shared_buffers": "4GB"}},
		},
		"status": object{"phase": "Cluster in healthy state", "currentPrimary": name + "-1", "instances": 3},
	})
}

// cnpgBackup is a Backup as the operator and the Barman plugin leave it.
func cnpgBackup(namespace, cluster string, index int) object {
	name := fmt.Sprintf("%s-%06d", cluster, index)
	day, second := index/86400, index%86400
	stamp := fmt.Sprintf("2026-%02d-%02dT%02d:%02d:%02d", 1+day/28, 1+day%28, second/3600, second/60%60, second%60)
	fields := object{}
	for _, key := range []string{"backupId", "backupName", "beginLSN", "beginWal", "endLSN", "endWal", "instanceID", "method", "phase", "pluginMetadata", "startedAt", "stoppedAt"} {
		fields["f:"+key] = object{}
	}
	meta := metadata(namespace, name)
	meta["creationTimestamp"] = stamp + "Z"
	meta["labels"] = object{"cnpg.io/cluster": cluster, "cnpg.io/scheduled-backup": cluster, "cnpg.io/immediateBackup": "false"}
	meta["ownerReferences"] = []any{object{
		"apiVersion": "postgresql.cnpg.io/v1", "kind": "ScheduledBackup", "name": cluster, "controller": true,
		"uid": uid("scheduled " + cluster), "blockOwnerDeletion": true,
	}}
	meta["managedFields"] = []any{
		object{"manager": "manager", "operation": "Update", "apiVersion": "postgresql.cnpg.io/v1", "fieldsType": "FieldsV1", "time": stamp + "Z",
			"fieldsV1": object{"f:metadata": object{"f:labels": object{".": object{}, "f:cnpg.io/cluster": object{}, "f:cnpg.io/scheduled-backup": object{}},
				"f:ownerReferences": object{".": object{}}}, "f:spec": object{".": object{}, "f:cluster": object{".": object{}, "f:name": object{}}, "f:method": object{}}}},
		object{"manager": "manager", "operation": "Update", "subresource": "status", "apiVersion": "postgresql.cnpg.io/v1", "fieldsType": "FieldsV1", "time": stamp + "Z",
			"fieldsV1": object{"f:status": fields}},
	}
	return object{
		"apiVersion": "postgresql.cnpg.io/v1", "kind": "Backup", "metadata": meta,
		"spec": object{
			"cluster": object{"name": cluster}, "method": "plugin", "target": "prefer-standby",
			"pluginConfiguration": object{"name": "barman-cloud.cloudnative-pg.io"},
		},
		"status": object{
			"phase": "completed", "method": "plugin", "backupId": strings.NewReplacer("-", "", ":", "").Replace(stamp), "backupName": "backup-" + name,
			"startedAt": stamp + "Z", "stoppedAt": stamp + "Z", "beginWal": "000000010000000000000017", "endWal": "000000010000000000000017",
			"beginLSN": "0/17000028", "endLSN": "0/17000158",
			"instanceID":     object{"podName": cluster + "-2", "ContainerID": "containerd://9d3ff5f1e9b2c6fa4f0a1d9f5d8f4b6c", "sessionID": "5b7c9a0e-1de2-4f0e-8a66-0bfa9e4c1d2f"},
			"pluginMetadata": object{"clusterUID": uid(namespace + "/" + cluster), "name": "barman-cloud.cloudnative-pg.io", "timeline": "1", "version": "0.14.0", "displayName": "BarmanCloudInstance"},
		},
	}
}

func veleroBackup(name string) []byte {
	return mustJSON(object{
		"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": metadata("velero", name),
		"spec":   object{"includedNamespaces": []any{"*"}, "ttl": "720h0m0s", "storageLocation": "default", "csiSnapshotTimeout": "10m0s", "itemOperationTimeout": "4h0m0s"},
		"status": object{"phase": "InProgress", "version": 1, "formatVersion": "1.1.0", "startTimestamp": "2026-11-20T02:00:00Z", "expiration": "2026-12-20T02:00:00Z"},
	})
}

func veleroRestore(name string) []byte {
	return mustJSON(object{
		"apiVersion": "velero.io/v1", "kind": "Restore", "metadata": metadata("velero", name),
		"spec":   object{"backupName": "nightly", "includedNamespaces": []any{"*"}, "excludedResources": []any{"nodes", "events"}, "itemOperationTimeout": "4h0m0s"},
		"status": object{"phase": "InProgress", "startTimestamp": "2026-11-20T08:00:00Z"},
	})
}

// serverName is what a Cluster archives under.
func serverName(cluster []byte) (string, error) {
	var item struct {
		Spec struct {
			Plugins []struct {
				Parameters struct {
					ServerName string `json:"serverName"`
				} `json:"parameters"`
			} `json:"plugins"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(cluster, &item); err != nil {
		return "", err
	}
	if len(item.Spec.Plugins) != 1 {
		return "", fmt.Errorf("the Cluster has %d plugins", len(item.Spec.Plugins))
	}
	return item.Spec.Plugins[0].Parameters.ServerName, nil
}
