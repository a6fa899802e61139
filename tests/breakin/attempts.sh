#!/usr/bin/env bash
# What a tenant tries who has nothing but the kubeconfig of an editor of one namespace, with the strict policy on. docs/security.md
# says of each attempt why it has to fail. Each has to be refused, and for the reason that is given here: anything else ends
# the script.
#
#   KUBECONFIG=<the tenant's> attempts.sh NAMESPACE OTHER ARTIFACTS
#
# NAMESPACE is the tenant's own, which holds the Terraform objects net (a plan waits), kept (the same, and its runner pod waits for the
# order to apply it), paused (suspended, its plan approved; the variable "said" is only seen by a provisioner) doomed (it destroys on
# deletion) and ending (the same, its deletion is approved and under way), and the account tf-runner. OTHER is another tenant's. ARTIFACTS is the address of the artifact endpoint.
set -uo pipefail

namespace=$1 other=$2 artifacts=$3
controller=system:serviceaccount:flux-system:terraform-controller
group=infra.contrib.fluxcd.io
count=0

# attempt TITLE TEXT COMMAND...: the command has to fail, and to say TEXT. The API server now and then reads the list of kinds anew,
# and until it has, policies can't tell: that is no answer.
attempt() {
  local title=$1 text=$2 said patience=60
  shift 2
  count=$((count + 1))
  while
    if said=$("$@" 2>&1); then
      echo "BROKEN IN: $title: $said"
      exit 1
    fi
    [[ $said == *"(ServiceUnavailable)"* ]] && ((patience-- > 0))
  do sleep 0.5; done
  if [[ $said != *"$text"* ]]; then
    echo "FAILED OTHERWISE: $title: $said"
    exit 1
  fi
  echo "refused $count: $title"
}

own() { kubectl -n "$namespace" "$@"; }

create() { own create -f - <<<"$1"; }

merge() { own patch "$1" "$2" --type=merge -p "$3"; }

status() { own patch "$1" "$2" --subresource=status --type=merge -p "$3"; }

# fetch asks for another tenant's artifact, with a token that is good for the endpoint.
fetch() {
  local token
  token=$(own create token tf-runner --audience=terraform-controller) || return 0
  kubectl --kubeconfig=/dev/null --server="$artifacts" --insecure-skip-tls-verify --token="$token" get --raw "/artifacts/$other/$1"
}

# report says in a runner's name that a run has planned something else. An apply needs the right to patch only, as runners have it.
report() {
  own "$@" apply --server-side --force-conflicts --subresource=status --validate=false -f - <<<"
apiVersion: $group/v1alpha2
kind: TerraformRun
metadata: {name: $run}
status: {plan: {id: plan-x, safe: true}}"
}

# pod makes a pod of that name, as the runner's account.
pod() {
  create "
apiVersion: v1
kind: Pod
metadata: {name: $1, labels: {app.kubernetes.io/name: tf-runner}}
spec:
  serviceAccountName: tf-runner
  nodeSelector: {there-is: none}
  containers: [{name: runner, image: example.com/mine}]"
}

# bound is a token of the runner's account that says that it is of that pod.
bound() {
  own create token tf-runner --bound-object-kind=Pod --bound-object-name="$1" \
    --bound-object-uid="$(own get pod "$1" -o jsonpath='{.metadata.uid}')"
}

# carry lets the object paused go on with that change of its spec, until it is known what becomes of the approval.
carry() {
  local ready
  merge terraform paused "{\"spec\":$1}" >/dev/null
  merge terraform paused '{"spec":{"suspend":false}}' >/dev/null
  for _ in {1..120}; do
    ready=$(own get terraform paused -o jsonpath='{.status.appliesStarted} {.status.conditions[?(@.type=="Ready")].message}')
    [[ $ready == [1-9]* ]] && break
    if [[ $ready == *"does not cover"* ]]; then
      echo "$ready"
      return 1
    fi
    sleep 0.5
  done
  echo "$ready"
}

run=$(own get terraformruns -o jsonpath='{.items[0].metadata.name}')
plan=$(own get terraform net -o jsonpath='{.status.plan.pending}')
theirs=net-00000000

attempt "approve the plan by annotation" "the verb approve on terraforms is needed" \
  own annotate terraform net "$group/approve-plan=$plan"
attempt "approve the plan by its id in the spec" "the verb approve on terraforms is needed" \
  merge terraform net "{\"spec\":{\"approvePlan\":\"$plan\"}}"
attempt "have every plan applied" "the verb approve on terraforms is needed" \
  merge terraform net '{"spec":{"approvePlan":"auto"}}'
attempt "force the plan through the older version of the API" "the verb approve on terraforms is needed" \
  merge terraforms.v1alpha1.$group net '{"spec":{"force":true}}'
attempt "name somebody else as the approver" "is set by an approval" \
  own annotate terraform net "$group/approved-by=the-boss"
attempt "write the approval into the status" "forbidden" \
  status terraform net "{\"status\":{\"approval\":{\"planId\":\"$plan\",\"by\":\"the-boss\"}}}"
attempt "have an approval go on to something else that is run" "does not cover the values of variables" \
  carry '{"vars":[{"name":"said","value":"evil"}]}'
attempt "destroy resources by a deletion" "the verb approve on terraforms is needed" \
  own delete terraform doomed --wait=false
attempt "have a deletion that was approved destroy something else" "the verb approve on terraforms is needed" \
  merge terraform ending '{"spec":{"backendConfig":{"secretSuffix":"net","inClusterConfig":true}}}'
attempt "make a run of one's own" "forbidden" create "
apiVersion: $group/v1alpha2
kind: TerraformRun
metadata: {name: net-forged}
spec: {operation: Plan, reason: x, target: x, generation: 1, podName: net-tf-runner, hostname: net-x}"
attempt "alter a run" "forbidden" \
  merge terraformrun "$run" '{"spec":{"cancel":{"reason":"x"}}}'
attempt "say that a run has done something else" "forbidden" \
  status terraformrun "$run" '{"status":{"plan":{"id":"plan-x"}}}'
attempt "say it as the runner's account" "by its own runner pod" \
  report --as="system:serviceaccount:$namespace:tf-runner"
attempt "say it with a token of that account" "by its own runner pod" \
  report --token="$(own create token tf-runner)"
pod mine >/dev/null
attempt "say it with a token of that account in another pod" "by its own runner pod" \
  report --token="$(bound mine)"
own delete pod mine >/dev/null
attempt "be the runner pod of an object" "made by the controller" \
  pod doomed-tf-runner
attempt "get the token of a runner pod" "for its node only" \
  bound kept-tf-runner
attempt "get into a runner pod" "the verb approve on terraforms is needed" \
  own exec kept-tf-runner -- cat /var/run/secrets/kubernetes.io/serviceaccount/token
attempt "have a runner pod run another program" "images are chosen by the controller" \
  own set image pod/kept-tf-runner tf-runner=example.com/mine
attempt "add a program to a runner pod" "forbidden" \
  own debug kept-tf-runner --image=example.com/mine --target=tf-runner --profile=general
attempt "say that a runner has ended, to have its lock released" "the verb approve on terraforms is needed" \
  own annotate pod kept-tf-runner "$group/process-ended=really"
attempt "fetch another tenant's module" "orbidden" fetch "$theirs"
attempt "read the key of the artifact endpoint" "forbidden" \
  kubectl -n flux-system get secret terraform-controller-tls
attempt "read another tenant's state" "forbidden" \
  kubectl -n "$other" get secret tfstate-default-net
attempt "work as the controller" "forbidden" \
  own --as="$controller" annotate terraform net a=b
attempt "get a token of the controller" "forbidden" \
  kubectl -n flux-system create token terraform-controller
attempt "give oneself the verb approve" "forbidden" \
  own create rolebinding approver --clusterrole=terraform-approver --serviceaccount="$namespace:bob"
attempt "take the label of the strict policy away" "forbidden" \
  kubectl label namespace "$namespace" "$group/approval-"
attempt "switch the policy off" "forbidden" \
  kubectl delete validatingadmissionpolicybinding terraform-approve-spec

own create -f - >/dev/null <<END
apiVersion: $group/v1alpha2
kind: Terraform
metadata: {name: thief}
spec: {interval: 1h, sourceRef: {kind: GitRepository, name: infra, namespace: $other}}
END
attempt "plan another tenant's source" "AccessDenied" \
  bash -c "kubectl -n $namespace wait terraform/thief --for=jsonpath='{.status.conditions[?(@.type==\"Ready\")].reason}'=AccessDenied --timeout=1m >/dev/null &&
    kubectl -n $namespace get terraform thief -o jsonpath='{.status.conditions[?(@.type==\"Ready\")].reason}' && false"

echo "$count attempts, all refused"
