package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/vmware-tanzu/velero/pkg/plugin/framework/common"
	"github.com/vmware-tanzu/velero/pkg/plugin/generated"
	biav2 "github.com/vmware-tanzu/velero/pkg/plugin/generated/backupitemaction/v2"
	riav2 "github.com/vmware-tanzu/velero/pkg/plugin/generated/restoreitemaction/v2"
)

const (
	deploymentPlugin = "replicated.com/deployment-restore-plugin"
	clusterPlugin    = "replicated.com/cnpg-backup-plugin"
	mebibyte         = 1 << 20
)

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// file: its size, and as an image's layer is pulled.
func (b *bench) file() error {
	var s samples
	for _, c := range b.Candidates {
		content, err := os.ReadFile(c.File)
		if err != nil {
			return err
		}
		counter := &countingWriter{}
		zip := gzip.NewWriter(counter)
		if _, err := zip.Write(content); err != nil {
			return err
		}
		if err := zip.Close(); err != nil {
			return err
		}
		s.add("file", c, "MiB", float64(len(content))/mebibyte)
		s.add("file, gzip", c, "MiB", float64(counter.n)/mebibyte)
	}
	s.print()
	return nil
}

type countingWriter struct{ n int64 }

func (w *countingWriter) Write(p []byte) (int, error) {
	w.n += int64(len(p))
	return len(p), nil
}

// start: from the start of the process to its end, without any other call.
func (b *bench) start() error {
	var s samples
	err := b.each(b.Candidates, b.times(40), func(c candidate, _ int) error {
		p, err := startProcess(c, c.File)
		if err != nil {
			return err
		}
		memory, err := p.memory()
		if err != nil {
			return err
		}
		end, err := p.stop()
		if err != nil {
			return err
		}
		s.add("start to handshake", c, "ms", millis(p.handshake))
		s.add("start to ListPlugins answer", c, "ms", millis(p.listed))
		s.add("shutdown to exit", c, "ms", millis(end))
		s.add("CPU of start, ListPlugins, exit", c, "ms", p.cpu()*1000)
		s.add("resident after ListPlugins", c, "MiB", memory["VmRSS"])
		s.add("anonymous after ListPlugins", c, "MiB", memory["RssAnon"])
		return nil
	})
	s.print()
	return err
}

// with runs do with a process of each candidate that has a plugin.
func (b *bench) with(kind common.PluginKind, name string, do func(able []candidate, processes map[string]*process) error) error {
	processes := map[string]*process{}
	able := []candidate{}
	defer func() {
		for _, p := range processes {
			p.kill()
		}
	}()
	for _, c := range b.Candidates {
		p, err := startProcess(c, c.File, b.api.env())
		if err != nil {
			return err
		}
		processes[c.Name] = p
		if p.named(kind, name) {
			able = append(able, c)
		}
	}
	return do(able, processes)
}

var restore = veleroRestore("nightly-restore")

// restoreDeployment calls the deployment plugin with an item of a size.
func (p *process) restoreDeployment(item []byte) error {
	_, err := riav2.NewRestoreItemActionClient(p.conn).Execute(context.Background(), &riav2.RestoreItemActionExecuteRequest{
		Plugin: deploymentPlugin, Item: item, ItemFromBackup: item, Restore: restore,
	})
	return err
}

// backUpCluster calls the Cluster plugin in a Velero backup of its own.
func (p *process) backUpCluster(item []byte, backup string) error {
	_, err := biav2.NewBackupItemActionClient(p.conn).Execute(context.Background(), &biav2.ExecuteRequest{
		Plugin: clusterPlugin, Item: item, Backup: veleroBackup(backup),
	})
	return err
}

var sizes = []struct {
	name  string
	bytes int
	calls int
}{{"4 KiB", 4 << 10, 200}, {"64 KiB", 64 << 10, 60}, {"1 MiB", 1 << 20, 10}}

var changes = []struct {
	name    string
	changed bool
}{{"unchanged", false}, {"changed", true}}

// execute: one Execute after another, after a first round that does not count.
func (b *bench) execute() error {
	var s samples
	err := b.with(common.PluginKindRestoreItemActionV2, deploymentPlugin, func(able []candidate, processes map[string]*process) error {
		const rounds = 12
		for _, size := range sizes {
			for _, change := range changes {
				item := deployment("web", size.bytes, change.changed)
				measure := fmt.Sprintf("Execute %s %s", size.name, change.name)
				if err := b.each(able, rounds, func(c candidate, round int) error {
					for range b.times(size.calls) {
						began := time.Now()
						if err := processes[c.Name].restoreDeployment(item); err != nil {
							return err
						}
						if round > 0 {
							s.add(measure, c, "ms", millis(time.Since(began)))
						}
					}
					return nil
				}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	s.print()
	return err
}

// concurrent: calls at once, as many as there are items in parallel.
func (b *bench) concurrent() error {
	var s samples
	err := b.with(common.PluginKindRestoreItemActionV2, deploymentPlugin, func(able []candidate, processes map[string]*process) error {
		item := deployment("web", 4<<10, false)
		for _, workers := range []int{1, 4, 16} {
			if err := b.each(able, 6, func(c candidate, round int) error {
				calls := b.times(800)
				began := time.Now()
				if err := atOnce(workers, calls, func() error { return processes[c.Name].restoreDeployment(item) }); err != nil {
					return err
				}
				if round > 0 {
					s.add(fmt.Sprintf("Execute 4 KiB, %d at once", workers), c, "calls/s", float64(calls)/time.Since(began).Seconds())
				}
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	s.print()
	return err
}

func atOnce(workers, calls int, do func() error) error {
	var group sync.WaitGroup
	errs := make([]error, workers)
	for worker := range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			for range calls / workers {
				if err := do(); err != nil {
					errs[worker] = err
					return
				}
			}
		}()
	}
	group.Wait()
	return errors.Join(errs...)
}

// memory: after so many Executes of items of mixed sizes, a tenth changed.
func (b *bench) memory() error {
	var s samples
	err := b.with(common.PluginKindRestoreItemActionV2, deploymentPlugin, func(able []candidate, processes map[string]*process) error {
		items := mixedItems()
		done := 0
		for _, until := range []int{1000, 10_000} {
			for _, c := range able {
				p := processes[c.Name]
				for index := done; index < until; index++ {
					if err := p.restoreDeployment(items[index%len(items)]); err != nil {
						return err
					}
				}
				memory, err := p.memory()
				if err != nil {
					return err
				}
				after := fmt.Sprintf("after %d Executes", until)
				s.add("resident "+after, c, "MiB", memory["VmRSS"])
				s.add("anonymous "+after, c, "MiB", memory["RssAnon"])
				s.add("peak "+after, c, "MiB", memory["VmHWM"])
			}
			done = until
		}
		return nil
	})
	s.print()
	return err
}

// mixedItems are a namespace's: most are small, one in fifty is large.
func mixedItems() [][]byte {
	items := make([][]byte, 50)
	for index := range items {
		size := 2<<10 + index*100
		if index == 0 {
			size = 64 << 10
		}
		items[index] = deployment(fmt.Sprintf("web-%d", index), size, index%10 == 0)
	}
	return items
}

// cluster: the Cluster's backup action beside so many CNPG Backups.
func (b *bench) cluster() error {
	var s samples
	for _, of := range []struct{ backups, calls int }{{10, 60}, {1000, 30}, {10_000, 12}} {
		// A process of their own: what one number of Backups leaves in memory is not the next one's.
		err := b.with(common.PluginKindBackupItemActionV2, clusterPlugin, func(able []candidate, processes map[string]*process) error {
			item := cluster(fmt.Sprintf("backups-%d", of.backups), "orders")
			measure := fmt.Sprintf("Cluster Execute beside %d Backups", of.backups)
			if err := b.each(able, b.times(of.calls)+1, func(c candidate, round int) error {
				began := time.Now()
				calls, sent, err := b.api.count(func() error {
					return processes[c.Name].backUpCluster(item, fmt.Sprintf("nightly-%d", round))
				})
				// The first one connects, and has the server make its answers.
				if err != nil || round == 0 {
					return err
				}
				s.add(measure, c, "ms", millis(time.Since(began)))
				s.add(measure+": calls", c, "", float64(calls))
				s.add(measure+": bytes", c, "KiB", float64(sent)/1024)
				return nil
			}); err != nil {
				return err
			}
			for _, c := range able {
				memory, err := processes[c.Name].memory()
				if err != nil {
					return err
				}
				s.add(measure+": peak", c, "MiB", memory["VmHWM"])
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	s.print()
	return nil
}

// cpu: a whole backup and restore, process and all: 50 Clusters beside 100
// Backups each, 4,950 Deployments.
func (b *bench) cpu() error {
	var s samples
	items := mixedItems()
	err := b.each(b.Candidates, 3, func(c candidate, _ int) error {
		p, err := startProcess(c, c.File, b.api.env())
		if err != nil {
			return err
		}
		if !p.named(common.PluginKindRestoreItemActionV2, deploymentPlugin) {
			p.kill()
			return nil
		}
		for index := range 50 {
			if err := p.backUpCluster(cluster("backups-100", fmt.Sprintf("orders-%d", index)), "nightly"); err != nil {
				return err
			}
		}
		for index := range 4950 {
			if err := p.restoreDeployment(items[index%len(items)]); err != nil {
				return err
			}
		}
		if _, err := p.stop(); err != nil {
			return err
		}
		s.add("CPU of 5,000 items", c, "s", p.cpu())
		return nil
	})
	s.print()
	return err
}

// chunk is what Velero's client sends and asks for at once.
const chunk = 16384

// store: 1 GiB into an object store and back.
func (b *bench) store() error {
	var s samples
	able := []candidate{}
	for _, c := range b.Candidates {
		if c.Store != "" {
			able = append(able, c)
		}
	}
	size := int64(1<<30) / int64(b.Scale) / chunk * chunk
	err := b.each(able, 3, func(c candidate, _ int) error {
		p, err := startProcess(c, c.Store)
		if err != nil {
			return err
		}
		defer p.kill()
		root := filepath.Join(b.Directory, "store")
		if err := os.MkdirAll(filepath.Join(root, "bucket"), 0o755); err != nil {
			return err
		}
		defer os.RemoveAll(root)
		var name string
		for _, id := range p.plugins {
			if id.Kind == string(common.PluginKindObjectStore) {
				name = id.Name
			}
		}
		client := generated.NewObjectStoreClient(p.conn)
		if _, err := client.Init(context.Background(), &generated.ObjectStoreInitRequest{
			Plugin: name, Config: map[string]string{"root": root, "bucket": "bucket"},
		}); err != nil {
			return err
		}
		began := time.Now()
		if err := put(client, name, size); err != nil {
			return fmt.Errorf("PutObject: %w", err)
		}
		s.add("PutObject of 1 GiB", c, "MiB/s", float64(size)/mebibyte/time.Since(began).Seconds())
		began = time.Now()
		if err := get(client, name, size); err != nil {
			return fmt.Errorf("GetObject: %w", err)
		}
		s.add("GetObject of 1 GiB", c, "MiB/s", float64(size)/mebibyte/time.Since(began).Seconds())
		memory, err := p.memory()
		if err != nil {
			return err
		}
		s.add("peak after both", c, "MiB", memory["VmHWM"])
		if _, err := p.stop(); err != nil {
			return err
		}
		s.add("CPU of both", c, "s", p.cpu())
		return nil
	})
	s.print()
	return err
}

func put(client generated.ObjectStoreClient, plugin string, size int64) error {
	stream, err := client.PutObject(context.Background())
	if err != nil {
		return err
	}
	body := make([]byte, chunk)
	for sent := int64(0); sent < size; sent += chunk {
		if err := stream.Send(&generated.PutObjectRequest{Plugin: plugin, Bucket: "bucket", Key: "backups/nightly/nightly.tar.gz", Body: body}); err != nil {
			return err
		}
	}
	_, err = stream.CloseAndRecv()
	return err
}

func get(client generated.ObjectStoreClient, plugin string, size int64) error {
	stream, err := client.GetObject(context.Background(), &generated.GetObjectRequest{Plugin: plugin, Bucket: "bucket", Key: "backups/nightly/nightly.tar.gz"})
	if err != nil {
		return err
	}
	received := int64(0)
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		received += int64(len(part.Data))
	}
	if received != size {
		return fmt.Errorf("%d of %d bytes came back", received, size)
	}
	return nil
}
