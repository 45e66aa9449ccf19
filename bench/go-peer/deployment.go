package main

import (
	"github.com/sirupsen/logrus"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"github.com/vmware-tanzu/velero/pkg/plugin/velero"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const migrationContainer = "wait-for-migration-job"

var initContainers = []string{"spec", "template", "spec", "initContainers"}

type deploymentRestore struct{ log logrus.FieldLogger }

func (*deploymentRestore) Name() string { return "deployment-restore-plugin" }

func (*deploymentRestore) AppliesTo() (velero.ResourceSelector, error) {
	return velero.ResourceSelector{IncludedResources: []string{"deployments"}}, nil
}

func (p *deploymentRestore) Execute(input *velero.RestoreItemActionExecuteInput) (*velero.RestoreItemActionExecuteOutput, error) {
	object := input.Item.UnstructuredContent()
	containers, found, err := unstructured.NestedSlice(object, initContainers...)
	if err != nil {
		return nil, err
	}
	kept := []any{}
	for _, each := range containers {
		if container, ok := each.(map[string]any); ok && container["name"] == migrationContainer {
			continue
		}
		kept = append(kept, each)
	}
	if found && len(kept) != len(containers) {
		if len(kept) == 0 {
			unstructured.RemoveNestedField(object, initContainers...)
		} else if err := unstructured.SetNestedSlice(object, kept, initContainers...); err != nil {
			return nil, err
		}
		p.log.Infof("removed %d init containers", len(containers)-len(kept))
	}
	return velero.NewRestoreItemActionExecuteOutput(&unstructured.Unstructured{Object: object}), nil
}

func (*deploymentRestore) Progress(string, *velerov1.Restore) (velero.OperationProgress, error) {
	return velero.OperationProgress{}, nil
}

func (*deploymentRestore) Cancel(string, *velerov1.Restore) error { return nil }

func (*deploymentRestore) AreAdditionalItemsReady([]velero.ResourceIdentifier, *velerov1.Restore) (bool, error) {
	return true, nil
}
