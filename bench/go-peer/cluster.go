package main

import (
	"context"
	"fmt"
	"sort"
	"time"

	"github.com/sirupsen/logrus"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"github.com/vmware-tanzu/velero/pkg/plugin/velero"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

const (
	barmanPlugin         = "barman-cloud.cloudnative-pg.io"
	serverNameAnnotation = "velero-cnpg/serverName"
	backupIDAnnotation   = "velero-cnpg/current-backup-id"
	overrideName         = "cnpg-velero-override"
)

var (
	backups    = schema.GroupVersionResource{Group: "postgresql.cnpg.io", Version: "v1", Resource: "backups"}
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
)

// barmanParameters finds the parameters of the Barman plugin, and where they are.
func barmanParameters(cluster map[string]any) (plugins []any, parameters map[string]any, err error) {
	plugins, found, err := unstructured.NestedSlice(cluster, "spec", "plugins")
	if err != nil || !found {
		return nil, nil, fmt.Errorf("spec.plugins not found: %w", err)
	}
	for _, each := range plugins {
		plugin, ok := each.(map[string]any)
		if !ok || plugin["name"] != barmanPlugin {
			continue
		}
		parameters, ok := plugin["parameters"].(map[string]any)
		if !ok {
			parameters = map[string]any{}
			plugin["parameters"] = parameters
		}
		return plugins, parameters, nil
	}
	return nil, nil, fmt.Errorf("plugin %s not found", barmanPlugin)
}

type clusterBackup struct {
	log    logrus.FieldLogger
	client dynamic.Interface
}

func (*clusterBackup) Name() string { return "cnpg-backup-plugin" }

func (*clusterBackup) AppliesTo() (velero.ResourceSelector, error) {
	return velero.ResourceSelector{IncludedResources: []string{"clusters.postgresql.cnpg.io"}}, nil
}

func (p *clusterBackup) Execute(item runtime.Unstructured, _ *velerov1.Backup) (runtime.Unstructured, []velero.ResourceIdentifier, string, []velero.ResourceIdentifier, error) {
	cluster := &unstructured.Unstructured{Object: item.UnstructuredContent()}
	_, parameters, err := barmanParameters(cluster.Object)
	if err != nil {
		return nil, nil, "", nil, err
	}
	serverName, _ := parameters["serverName"].(string)
	if serverName == "" {
		serverName = cluster.GetName()
	}
	backupID, err := p.latestBackupID(cluster.GetNamespace(), cluster.GetName())
	if err != nil {
		return nil, nil, "", nil, err
	}
	annotations := cluster.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[serverNameAnnotation] = serverName
	if backupID != "" {
		annotations[backupIDAnnotation] = backupID
	}
	cluster.SetAnnotations(annotations)
	p.log.Infof("recorded server name %s and backup %s of cluster %s/%s", serverName, backupID, cluster.GetNamespace(), cluster.GetName())
	return cluster, nil, "", nil, nil
}

func (p *clusterBackup) latestBackupID(namespace, cluster string) (string, error) {
	list, err := p.client.Resource(backups).Namespace(namespace).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		return "", fmt.Errorf("cannot list backups: %w", err)
	}
	completed := []unstructured.Unstructured{}
	for _, backup := range list.Items {
		name, _, _ := unstructured.NestedString(backup.Object, "spec", "cluster", "name")
		phase, _, _ := unstructured.NestedString(backup.Object, "status", "phase")
		if name == cluster && phase == "completed" {
			completed = append(completed, backup)
		}
	}
	if len(completed) == 0 {
		return "", nil
	}
	sort.Slice(completed, func(i, j int) bool {
		return completed[j].GetCreationTimestamp().Time.Before(completed[i].GetCreationTimestamp().Time)
	})
	id, _, err := unstructured.NestedString(completed[0].Object, "status", "backupId")
	return id, err
}

func (*clusterBackup) Progress(string, *velerov1.Backup) (velero.OperationProgress, error) {
	return velero.OperationProgress{}, nil
}

func (*clusterBackup) Cancel(string, *velerov1.Backup) error { return nil }

type clusterRestore struct {
	log    logrus.FieldLogger
	client dynamic.Interface
}

func (*clusterRestore) Name() string { return "cnpg-restore-plugin" }

func (*clusterRestore) AppliesTo() (velero.ResourceSelector, error) {
	return velero.ResourceSelector{IncludedResources: []string{"clusters.postgresql.cnpg.io"}}, nil
}

func (p *clusterRestore) Execute(input *velero.RestoreItemActionExecuteInput) (*velero.RestoreItemActionExecuteOutput, error) {
	cluster := &unstructured.Unstructured{Object: input.Item.UnstructuredContent()}
	annotations := cluster.GetAnnotations()
	readFrom := annotations[serverNameAnnotation]
	if readFrom == "" {
		return nil, fmt.Errorf("annotation %s not found", serverNameAnnotation)
	}
	plugins, parameters, err := barmanParameters(cluster.Object)
	if err != nil {
		return nil, err
	}
	writeTo := fmt.Sprintf("%s-%s", cluster.GetName(), time.Now().Format("20060102-150405"))
	if err := p.writeOverride(cluster.GetNamespace(), readFrom, writeTo); err != nil {
		return nil, err
	}
	object := cluster.Object
	external := []any{map[string]any{"name": "clusterBackup", "plugin": map[string]any{
		"name":       barmanPlugin,
		"parameters": map[string]any{"barmanObjectName": parameters["barmanObjectName"], "serverName": readFrom},
	}}}
	recovery := map[string]any{"source": "clusterBackup"}
	if id := annotations[backupIDAnnotation]; id != "" {
		recovery["recoveryTarget"] = map[string]any{"backupID": id}
	}
	parameters["serverName"] = writeTo
	for _, set := range []struct {
		value any
		path  []string
	}{
		{external, []string{"spec", "externalClusters"}},
		{map[string]any{"recovery": recovery}, []string{"spec", "bootstrap"}},
		{plugins, []string{"spec", "plugins"}},
	} {
		if err := unstructured.SetNestedField(object, set.value, set.path...); err != nil {
			return nil, err
		}
	}
	unstructured.RemoveNestedField(object, "status")
	for _, field := range []string{"resourceVersion", "uid", "generation", "creationTimestamp", "managedFields"} {
		unstructured.RemoveNestedField(object, "metadata", field)
	}
	p.log.Infof("cluster %s/%s recovers from %s and archives under %s", cluster.GetNamespace(), cluster.GetName(), readFrom, writeTo)
	return velero.NewRestoreItemActionExecuteOutput(cluster), nil
}

func (p *clusterRestore) writeOverride(namespace, readFrom, writeTo string) error {
	client := p.client.Resource(configMaps).Namespace(namespace)
	override := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1",
		"kind":       "ConfigMap",
		"metadata": map[string]any{
			"name": overrideName, "namespace": namespace,
			"annotations": map[string]any{"helm.sh/resource-policy": "keep"},
		},
		"data": map[string]any{"read_from_server_name": readFrom, "write_to_server_name": writeTo},
	}}
	_, err := client.Create(context.Background(), override, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = client.Update(context.Background(), override, metav1.UpdateOptions{})
	}
	return err
}

func (*clusterRestore) Progress(string, *velerov1.Restore) (velero.OperationProgress, error) {
	return velero.OperationProgress{}, nil
}

func (*clusterRestore) Cancel(string, *velerov1.Restore) error { return nil }

func (*clusterRestore) AreAdditionalItemsReady([]velero.ResourceIdentifier, *velerov1.Restore) (bool, error) {
	return true, nil
}
