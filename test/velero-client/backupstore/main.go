// Command backupstore leads a backup and a restore through their lives with
// Velero's own persistence package on an object store plugin, and downloads
// what belongs to them with the velero command's own code.
//
//	backupstore --plugin-dir DIR --provider NAME --config '{"root":"…"}'
//
// It ends with status 0 if everything was as Velero needs it; else it says on
// stderr what was not.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"github.com/vmware-tanzu/velero/pkg/cmd/util/downloadrequest"
	"github.com/vmware-tanzu/velero/pkg/persistence"
	"github.com/vmware-tanzu/velero/pkg/plugin/clientmgmt"
	"github.com/vmware-tanzu/velero/pkg/plugin/clientmgmt/process"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework"
	kbclient "sigs.k8s.io/controller-runtime/pkg/client"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "run-plugins" {
		// See ../main.go.
		framework.NewServer().Serve()
		return
	}
	pluginDir := flag.String("plugin-dir", "", "the directory with the plugin executables")
	provider := flag.String("provider", "", "the object store's name")
	config := flag.String("config", "{}", "the location's config, as JSON")
	flag.Parse()
	if err := run(*pluginDir, *provider, *config); err != nil {
		fmt.Fprintf(os.Stderr, "%+v\n", err)
		os.Exit(1)
	}
}

func run(pluginDir, provider, config string) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	os.Args = []string{executable, "server"} // as the registry finds Velero's own
	logger := logrus.New()
	logger.Out = io.Discard
	registry := process.NewRegistry(pluginDir, logger, logrus.InfoLevel)
	if err := registry.DiscoverPlugins(); err != nil {
		return err
	}
	manager := clientmgmt.NewManager(logger, logrus.InfoLevel, registry)
	defer manager.CleanupClients()

	location := &velerov1.BackupStorageLocation{Spec: velerov1.BackupStorageLocationSpec{
		Provider: provider,
		StorageType: velerov1.StorageType{ObjectStorage: &velerov1.ObjectStorageLocation{
			Bucket: "velero",
			Prefix: "clusters/a.example.com",
		}},
	}}
	if err := json.Unmarshal([]byte(config), &location.Spec.Config); err != nil {
		return err
	}
	store, err := persistence.NewObjectBackupStoreGetter(nil).Get(location, manager, logger)
	if err != nil {
		return err
	}
	return errors.Join(backups(store), restores(store), downloads(store), deletions(store))
}

var names = []string{"daily-20261121000000", "daily-20261122000000", "with.dots"}

func packed(text string) io.Reader {
	buffer := new(bytes.Buffer)
	writer := gzip.NewWriter(buffer)
	_, _ = writer.Write([]byte(text))
	_ = writer.Close()
	return bytes.NewReader(buffer.Bytes())
}

func metadata(name string) io.Reader {
	return strings.NewReader(fmt.Sprintf(`{"apiVersion":"velero.io/v1","kind":"Backup","metadata":{"name":%q,"namespace":"velero"}}`, name))
}

// backups is what a backup uploads, and what a sync and a restore read.
func backups(store persistence.BackupStore) error {
	if err := store.IsValid(); err != nil {
		return fmt.Errorf("a new store: %w", err)
	}
	if found, err := store.ListBackups(); err != nil || len(found) != 0 {
		return fmt.Errorf("a new store lists %v: %w", found, err)
	}
	for _, name := range names {
		err := store.PutBackup(persistence.BackupInfo{
			Name:                 name,
			Metadata:             metadata(name),
			Contents:             packed("contents of " + name),
			Log:                  packed("log of " + name),
			BackupResults:        packed(`{"errors":{},"warnings":{}}`),
			PodVolumeBackups:     packed("[]"),
			VolumeSnapshots:      packed("[]"),
			BackupItemOperations: packed("[]"),
			BackupResourceList:   packed(`{"v1/Pod":["a/b"]}`),
			BackupVolumeInfo:     packed("[]"),
		})
		if err != nil {
			return fmt.Errorf("PutBackup %s: %w", name, err)
		}
		// Velero finalizes a backup by writing some of it again.
		if err := store.PutBackupContents(name, packed("contents of "+name)); err != nil {
			return fmt.Errorf("PutBackupContents %s: %w", name, err)
		}
	}
	found, err := store.ListBackups()
	if err != nil || !slices.Equal(found, names) {
		return fmt.Errorf("ListBackups: %v, not %v: %w", found, names, err)
	}
	if err := store.IsValid(); err != nil {
		return fmt.Errorf("a store with backups: %w", err)
	}
	for _, name := range names {
		if exists, err := store.BackupExists("velero", name); err != nil || !exists {
			return fmt.Errorf("BackupExists %s: %v: %w", name, exists, err)
		}
		backup, err := store.GetBackupMetadata(name)
		if err != nil || backup.Name != name {
			return fmt.Errorf("GetBackupMetadata %s: %w", name, err)
		}
		contents, err := store.GetBackupContents(name)
		if err != nil {
			return fmt.Errorf("GetBackupContents %s: %w", name, err)
		}
		text, err := unpack(contents)
		if err != nil || text != "contents of "+name {
			return fmt.Errorf("the contents of %s are %q: %w", name, text, err)
		}
		if infos, err := store.GetBackupVolumeInfos(name); err != nil || len(infos) != 0 {
			return fmt.Errorf("GetBackupVolumeInfos %s: %w", name, err)
		}
		// There is none: Velero takes this for an older backup.
		if snapshots, err := store.GetCSIVolumeSnapshots(name); err != nil || snapshots != nil {
			return fmt.Errorf("GetCSIVolumeSnapshots %s: %v: %w", name, snapshots, err)
		}
	}
	if exists, err := store.BackupExists("velero", "other"); err != nil || exists {
		return fmt.Errorf("BackupExists of no backup: %v: %w", exists, err)
	}
	return nil
}

func restores(store persistence.BackupStore) error {
	err := errors.Join(
		store.PutRestoreLog(names[0], "r1", packed("log of r1")),
		store.PutRestoreResults(names[0], "r1", packed(`{"errors":{},"warnings":{}}`)),
		store.PutRestoredResourceList("r1", packed(`{"v1/Pod":["a/b"]}`)),
	)
	if err != nil {
		return fmt.Errorf("uploads of a restore: %w", err)
	}
	if list, err := store.GetRestoredResourceList("r1"); err != nil || len(list) != 1 {
		return fmt.Errorf("GetRestoredResourceList: %v: %w", list, err)
	}
	return nil
}

func unpack(reader io.ReadCloser) (string, error) {
	defer reader.Close()
	unpacked, err := gzip.NewReader(reader)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(unpacked)
	return string(text), err
}

// cluster answers DownloadRequests, as download_request_controller.go does.
type cluster struct {
	kbclient.Client
	store  persistence.BackupStore
	target velerov1.DownloadTarget
}

func (c *cluster) Create(_ context.Context, object kbclient.Object, _ ...kbclient.CreateOption) error {
	c.target = object.(*velerov1.DownloadRequest).Spec.Target
	return nil
}

func (c *cluster) Get(_ context.Context, _ kbclient.ObjectKey, object kbclient.Object, _ ...kbclient.GetOption) error {
	url, err := c.store.GetDownloadURL(c.target)
	object.(*velerov1.DownloadRequest).Status.DownloadURL = url
	return err
}

// downloads is what `velero backup logs`, `velero backup describe --details`,
// `velero backup download` and `velero restore logs` do.
func downloads(store persistence.BackupStore) error {
	for _, one := range []struct {
		name string
		kind velerov1.DownloadTargetKind
		want string
	}{
		{names[0], velerov1.DownloadTargetKindBackupLog, "log of " + names[0]},
		{names[2], velerov1.DownloadTargetKindBackupLog, "log of " + names[2]},
		{names[0], velerov1.DownloadTargetKindBackupResourceList, `{"v1/Pod":["a/b"]}`},
		{names[0], velerov1.DownloadTargetKindBackupResults, `{"errors":{},"warnings":{}}`},
		{names[0], velerov1.DownloadTargetKindBackupVolumeInfos, "[]"},
		{names[0], velerov1.DownloadTargetKindBackupContents, "contents of " + names[0]},
		{"r1", velerov1.DownloadTargetKindRestoreLog, "log of r1"},
	} {
		got := new(bytes.Buffer)
		err := downloadrequest.Stream(context.Background(), &cluster{store: store}, "velero", one.name, one.kind, got, time.Minute, false, "")
		text := got.String()
		if err == nil && one.kind == velerov1.DownloadTargetKindBackupContents {
			text, err = unpack(io.NopCloser(got)) // the command writes it as it is
		}
		if err != nil || text != one.want {
			return fmt.Errorf("download of %s %s: %q: %w", one.kind, one.name, text, err)
		}
	}
	err := downloadrequest.Stream(context.Background(), &cluster{store: store}, "velero", "other", velerov1.DownloadTargetKindBackupLog, io.Discard, time.Minute, false, "")
	if !errors.Is(err, downloadrequest.ErrNotFound) {
		return fmt.Errorf("download of a log that is not there: %w", err)
	}
	return nil
}

// deletions is what expiry and `velero backup delete` do.
func deletions(store persistence.BackupStore) error {
	if err := store.DeleteRestore("r1"); err != nil {
		return fmt.Errorf("DeleteRestore: %w", err)
	}
	for index, name := range names {
		if err := store.DeleteBackup(name); err != nil {
			return fmt.Errorf("DeleteBackup %s: %w", name, err)
		}
		if exists, err := store.BackupExists("velero", name); err != nil || exists {
			return fmt.Errorf("BackupExists %s after its deletion: %v: %w", name, exists, err)
		}
		if left, err := store.ListBackups(); err != nil || !slices.Equal(left, names[index+1:]) {
			return fmt.Errorf("ListBackups after a deletion: %v: %w", left, err)
		}
	}
	return store.IsValid()
}
