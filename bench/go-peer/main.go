// Command go-peer is what the benchmark compares with: the three actions of
// source document 004 and a file object store, written as Go plugins for Velero
// usually are: with Velero's framework, client-go's dynamic client, items as
// unstructured.Unstructured, and one list of all Backups.
package main

import (
	"github.com/sirupsen/logrus"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	framework.NewServer().
		RegisterRestoreItemActionV2("replicated.com/cnpg-restore-plugin", func(log logrus.FieldLogger) (any, error) {
			client, err := newClient()
			return &clusterRestore{log: log, client: client}, err
		}).
		RegisterRestoreItemActionV2("replicated.com/deployment-restore-plugin", func(log logrus.FieldLogger) (any, error) {
			return &deploymentRestore{log: log}, nil
		}).
		RegisterBackupItemActionV2("replicated.com/cnpg-backup-plugin", func(log logrus.FieldLogger) (any, error) {
			client, err := newClient()
			return &clusterBackup{log: log, client: client}, err
		}).
		RegisterObjectStore("velero.io/filesystem", func(log logrus.FieldLogger) (any, error) {
			return &fileStore{log: log}, nil
		}).
		Serve()
}

// newClient finds the cluster as kubectl and pods do.
func newClient() (dynamic.Interface, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, err
	}
	return dynamic.NewForConfig(config)
}
