package main

import (
	"context"
	"fmt"
	"time"

	"github.com/vmware-tanzu/velero/pkg/plugin/framework/common"
	biav2 "github.com/vmware-tanzu/velero/pkg/plugin/generated/backupitemaction/v2"
	riav2 "github.com/vmware-tanzu/velero/pkg/plugin/generated/restoreitemaction/v2"
)

const (
	restorePlugin = "replicated.com/cnpg-restore-plugin"
	ownedPlugin   = "velero-cnpg/owned-resource-backup-plugin"
	// A namespace's fleet has so many Backups for each Cluster.
	backupsEach = 20
)

// size is a number of objects, and how the row that has it is called.
type size struct {
	count int
	label string
}

// scale: calls, bytes and memory of the first candidate against the number of
// objects, each with a process of its own.
func (b *bench) scale() error {
	var s samples
	runs := []struct {
		plugin string
		sizes  []size
		run    func(p *process, count int) error
	}{
		{clusterPlugin, []size{{50, "backup of 50 Clusters"}, {500, "backup of 500 Clusters"}}, backUpFleet},
		{restorePlugin, []size{{20, "restore of 20 Clusters of one name"}, {200, "restore of 200 Clusters of one name"}}, restoreFleet},
		{ownedPlugin, []size{{10_000, "backup of 10,000 owned items"}, {100_000, "backup of 100,000 owned items"}}, backUpOwned},
	}
	c := b.Candidates[0]
	for _, of := range runs {
		for _, size := range of.sizes {
			if err := b.scaleRun(&s, c, size.label, func(p *process) error { return of.run(p, size.count) }); err != nil {
				return fmt.Errorf("%s: %w", size.label, err)
			}
		}
	}
	b.api.perSecond.Store(10)
	defer b.api.perSecond.Store(0)
	label := "backup of 50 Clusters, 10 calls a second"
	if err := b.scaleRun(&s, c, label, func(p *process) error { return backUpFleet(p, 50) }); err != nil {
		return fmt.Errorf("%s: %w", label, err)
	}
	s.add(label+": calls refused (429)", c, "", float64(b.api.refused.Load()))
	s.print()
	return nil
}

func (b *bench) scaleRun(s *samples, c candidate, label string, run func(*process) error) error {
	p, err := startProcess(c, c.File, b.api.env())
	if err != nil {
		return err
	}
	defer p.kill()
	if !p.named(common.PluginKindBackupItemActionV2, ownedPlugin) {
		return fmt.Errorf("%s has no plugin %s: scale is for this project's own", c.Name, ownedPlugin)
	}
	began := time.Now()
	calls, sent, err := b.api.count(func() error { return run(p) })
	if err != nil {
		return err
	}
	memory, err := p.memory()
	if err != nil {
		return err
	}
	s.add(label, c, "s", time.Since(began).Seconds())
	s.add(label+": calls", c, "", float64(calls))
	s.add(label+": bytes", c, "KiB", float64(sent)/1024)
	s.add(label+": peak", c, "MiB", memory["VmHWM"])
	return nil
}

// backUpFleet backs up Clusters of one namespace.
func backUpFleet(p *process, count int) error {
	namespace := fmt.Sprintf("fleet-%d-%d", count, backupsEach)
	for index := range count {
		if err := p.backUpCluster(cluster(namespace, clusterName(index)), "nightly"); err != nil {
			return err
		}
	}
	return nil
}

// restoreFleet restores Clusters that all have one name, each into a namespace
// of its own. Every one of them must get a server name that no other one has.
func restoreFleet(p *process, count int) error {
	names := map[string]bool{}
	for index := range count {
		item := backedUp(fmt.Sprintf("restored-%d", index), "orders")
		answer, err := riav2.NewRestoreItemActionClient(p.conn).Execute(context.Background(), &riav2.RestoreItemActionExecuteRequest{
			Plugin: restorePlugin, Item: item, ItemFromBackup: item, Restore: restore,
		})
		if err != nil {
			return err
		}
		name, err := serverName(answer.Item)
		if err != nil {
			return err
		}
		if names[name] {
			return fmt.Errorf("two Clusters archive under %s", name)
		}
		names[name] = true
	}
	return nil
}

// backUpOwned backs up items of a hundred Clusters.
func backUpOwned(p *process, count int) error {
	namespace := fmt.Sprintf("fleet-100-%d", backupsEach)
	backup := veleroBackup("nightly")
	client := biav2.NewBackupItemActionClient(p.conn)
	for index := range count {
		item := pod(namespace, clusterName(index%100), index)
		answer, err := client.Execute(context.Background(), &biav2.ExecuteRequest{Plugin: ownedPlugin, Item: item, Backup: backup})
		if err != nil {
			return err
		}
		if len(answer.Item) == len(item) {
			return fmt.Errorf("item %d was not marked", index)
		}
	}
	return nil
}
