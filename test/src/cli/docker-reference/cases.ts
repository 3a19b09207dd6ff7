/** Command lines whose output with the docker CLI is kept as the reference. Words after `docker`. */

export interface Case {
  readonly words: readonly string[];
}

/** One case a line. */
export function lines(text: string): readonly Case[] {
  return text
    .trim()
    .split('\n')
    .map((line) => ({ words: split(line.trim()) }));
}

/** Words of a line; single quotes keep blanks. */
function split(line: string): readonly string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

export const LIST_CASES = lines(`
  service ls
  service ls -q
  service list --format json
  service ls --format raw
  service ls --format table
  service ls --format ''
  service ls --format raw -q
  service ls --format '{{.Name}} {{json .Ports}}'
  service ls --format 'table {{.Name}}\\t{{.Image}}'
  service ls --format 'table {{upper .Name}}\\n{{lower .Mode}}\\t{{truncate .Image 4}}\\t{{pad .Name 2 3}}\\t{{split .Name "e"}}\\t{{join (split .Name "e") "-"}}\\t{{title .Mode}}'
  service ls --format '{{range split .Name ""}}[{{.}}]{{end}}'
  service ls --format pretty
  service ls -f name=web
  service ls --filter name=nothing
  service ls --filter mode=global --filter name=api
  service ls --filter id=s1
  service ls --filter label=a
  service ls --filter label=a=c
  service ps web
  service ps web -q
  service ps --no-trunc web
  service ps --no-resolve web
  service ps web api10
  service ps web nope
  service ps nope
  service ps --format json web
  service ps --format raw api10
  service ps --format '{{.Name}}: {{.CurrentState}} {{.Error}}' web
  service ps --format 'table {{.ID}}\\t{{.Name}}' web
  service ps --filter desired-state=running web
  service ps --filter name=web.2 web
  service ps --filter node=beta web
  service ps api2
  node ls
  node ls -q
  node ls --format json
  node ls --format raw
  node ls --format '{{.Hostname}} {{.Self}} {{.ManagerStatus}}|'
  node ls --format 'table {{.Hostname}}\\t{{.Status}}\\t{{.Availability}}'
  node ls --filter role=worker
  node ls --filter name=alpha
  node ls --filter node.label=zone=a
  node ps
  node ps beta
  node ps gamma
  node ps nope
  node ps --filter desired-state=shutdown beta
  network ls
  network ls -q
  network list --no-trunc
  network ls --no-trunc -q
  network ls --format json
  network ls --format raw
  network ls --format raw -q
  network ls --format '{{.Name}} {{.IPv4}} {{.IPv6}} {{.Internal}} {{.Labels}} {{.Label "team"}}|'
  network ls --format '{{.Name}} {{.CreatedAt}}' --filter type=custom
  network ls --format 'table {{.ID}}\\t{{.Labels}}\\t{{.CreatedAt}}\\t{{.IPv6}}\\t{{.Internal}}' --filter name=back
  network ls --filter type=builtin
  network ls --filter driver=overlay --filter driver=null
  network ls --filter scope=swarm
  network ls --filter label=team
  network ls --filter label=team=b
  network ls --filter dangling=true
  network ls --filter dangling=false
  network ls --filter id=w2
  network ls --filter name=s
`);

export const INSPECT_CASES = lines(`
  service inspect web
  service inspect api2 capable
  service inspect nope
  service inspect web nope
  service inspect s
  service inspect --pretty web
  service inspect --pretty api10
  service inspect --pretty capable
  service inspect --pretty nope web
  service inspect --format pretty api2
  service inspect --format json api2
  service inspect --format '{{.ID}}' web nope
  service inspect --format '{{.ID}}' nope
  service inspect --format '{{json .Spec}}' web
  service inspect --format '{{json .Spec.Labels}}' web
  service inspect --format '{{.Spec.Labels}}' web
  service inspect --format '{{.Spec.Mode}}' nope
  service inspect --format '{{.Spec.UpdateConfig.Monitor}} {{.Spec.TaskTemplate.ContainerSpec.StopGracePeriod}} {{.CreatedAt}}' web
  service inspect --format '{{.Endpoint}}' web
  service inspect --format '{{.Spec.TaskTemplate.ContainerSpec.Hostname}}|{{.Spec.TaskTemplate.ContainerSpec.Env}}|{{len .Spec.TaskTemplate.ContainerSpec.Env}}' web
  service inspect --format '{{range $k, $v := .Spec.Labels}}{{$k}}={{$v}};{{end}}' web
  service inspect --format '{{with .UpdateStatus}}{{.State}}{{else}}none{{end}}' web
  service inspect --format '{{.UpdateStatus.State}}' web
  service inspect --format '{{.UpdateStatus}}' web
  service inspect --format '{{.Foo}}' web
  service inspect --format '{{.Spec.Foo}}' web
  service inspect --format '{{.Spec.TaskTemplate.ContainerSpec.Foo}}' web
  service inspect --format '{{.Spec.Labels.nope}}' web
  service inspect --format '{{index .Spec.Labels "a"}} {{index .Spec.TaskTemplate.ContainerSpec.Env 1}}' web
  service inspect --format '{{index .Spec.TaskTemplate.ContainerSpec.Env 7}}' web
  service inspect --format '{{.Name' web
  service inspect --format '{{if}}x{{end}}' web
  service inspect --format '{{if .ID}}x' web
  service inspect --format '{{foo .ID}}' web
  service inspect --format '{{end}}' web
  service inspect --format '{{.ID | printf "%10.5s|%-8s|%q" "a" "b"}}' web
  service inspect --format '{{printf "%d %v %5.2f %t %x" .Version.Index .Spec.Mode.Global .Spec.UpdateConfig.MaxFailureRatio .Spec.TaskTemplate.ContainerSpec.ReadOnly "hi"}}' web
  service inspect --format '{{eq .Spec.Name "web"}} {{ne .Spec.Name "web"}} {{lt 1 2}} {{and 1 0}} {{or 0 "x"}} {{not true}}' web
  service inspect --format '{{gt .Spec.Name 1}}' web
  service inspect --format '{{$x := .ID}}{{$x = "y"}}{{$x}}{{/* comment */}} {{- " trimmed " -}} z' web
  service inspect --format '{{define "T"}}<{{.}}>{{end}}{{template "T" .Spec.Name}}{{template "U"}}' web
  service inspect --format '{{block "B" .Spec.Name}}[{{.}}]{{end}}' web
  service inspect --format '{{range .Spec.TaskTemplate.ContainerSpec.Mounts}}{{if eq .Source "vol"}}{{break}}{{end}}{{.Source}} {{.Target}} {{.ReadOnly}};{{else}}none{{end}}' web
  service inspect --format '{{range $i, $e := .Spec.TaskTemplate.ContainerSpec.Env}}{{if $i}}, {{end}}{{$e}}{{end}}' web
  service inspect --format '{{slice .Spec.Name 1 3}} {{slice .Spec.TaskTemplate.ContainerSpec.Env 1}} {{html "<a&b>"}} {{println "x" 1}}' web
  service inspect --format '{{len .Spec.Name 1}}' web
  service inspect --format '{{upper 1}}' web
  service inspect --format '{{.Spec.Name.Foo}}' web
  service inspect --format '{{.ID "x"}}' web
  service inspect --format '{{json .Spec.TaskTemplate.ContainerSpec.Image}} {{json .Endpoint.Ports}}' web
  service inspect --format '{{.Spec.TaskTemplate.Resources.Limits}}' web
  service inspect --format '{{.Spec.TaskTemplate.Placement.Constraints}} {{.Spec.TaskTemplate.Placement.Platforms}}' web
  service inspect --format '{{print .Version.Index 1 "a" 2 true}}' web
  service inspect --format '{{print nil}} {{.Meta}}' web
  service inspect --format '{{"a\\tb" | printf "%s"}} {{1.5}} {{1e3}} {{0x10}} {{true}}' web
  service inspect --format '{{else}}' web
  service inspect --format '{{range .ID}}x{{end}}' web
  service inspect --format '{{$y}}' web
  service inspect --format '{{ .ID | }}' web
  service inspect --format '{{(.ID).Foo}}' web
  service inspect --format '{{.ID}}{{"unterminated}}' web
  service inspect --format '{{break}}' web
  service inspect --format '{{template "none"}}' web
  service inspect --format '{{.ID | 3}}' web
  service inspect --format '{{join .Spec.TaskTemplate.ContainerSpec.Env ","}} {{join .Spec.Name ","}}' web
  node inspect self
  node inspect alpha gamma
  node inspect nope
  node inspect nope alpha
  node inspect --pretty alpha
  node inspect --pretty gamma
  node inspect --format '{{.Status.State}} {{.Spec}} {{.ManagerStatus}}' alpha beta
  node inspect --format '{{.Description.Engine.EngineVersion}} {{.Description.Resources}}' self
  node inspect --format '{{.Foo}}' self
  network inspect back
  network inspect ingress spare
  network inspect --verbose back
  network inspect nope
  network inspect back nope
  network inspect w3spare
  network inspect --format json spare
  network inspect --format '{{.ID}} {{.Name}} {{.Scope}} {{.Driver}} {{.EnableIPv6}}' back
  network inspect --format '{{.Id}} {{.Name}} {{.Scope}}' back
  network inspect --format '{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}}' back ingress
  network inspect --format '{{json .IPAM}} {{json .Labels}}' back
  network inspect --format '{{.IPAM}} {{.Options}} {{.Created}}' back
  network inspect --format '{{range $id, $c := .Containers}}{{$id}} {{$c.Name}} {{$c.IPv4Address}}{{end}}' back
  network inspect --format '{{index .Options "com.docker.network.driver.overlay.vxlanid_list"}}' back
  network inspect --format '{{.Peers}} {{.Ingress}} {{.ConfigOnly}} {{.ConfigFrom}}' ingress
  network inspect --format '{{.Foo}}' back
  network inspect host
`);

export const CHANGE_CASES = lines(`
  service rm api2
  service rm nope api2
  service rm nope nada
  service scale -d api2=2
  service scale -d nope=1 api2=3
  service scale api2
  service scale api2=2 x=
  service scale api2=a
  service scale api10=2
  service update -d api2
  service update -d nope
  service create -d --no-resolve-image --name web busybox
  node update --availability drain beta
  node update --label-rm nope alpha
  node update --availability pause nope
  node promote alpha
  node promote nope
  node demote beta gamma
  node demote nope
  node rm beta
  node rm nope gamma
  node rm --force beta
  network create -d overlay back
  network rm spare
  network rm nope spare
  network rm nope nada
  network rm -f nope spare
  network rm back
  network rm host
  network prune -f
  network prune -f --filter label=nothing
  network prune
  service create -d --no-resolve-image --name new --network nope busybox
  service update -d --no-resolve-image --network-add back web
  service update -d --no-resolve-image --network-rm nope web
  swarm leave
  swarm leave --force
  swarm init
  swarm init --force-new-cluster
  swarm join --token SWMTKN-1-worker 10.0.0.1:2377
  swarm join-token worker
  swarm join-token -q manager
  swarm join-token --rotate worker
  swarm join-token nobody
  swarm update --task-history-limit 3
`);

export const USAGE_CASES = lines(`
  bogus
  service bogus
  service ls --bogus
  service ls -z
  service ls extra
  service ls --format
  service create
  service create --replicas -1 x
  service create --replicas abc x
  service create --limit-memory 1x x
  service create --limit-memory x
  service create --limit-cpu a x
  service create --limit-cpu 0.0000000001 x
  service create --stop-grace-period 5 x
  service create --stop-grace-period 5y x
  service create --stop-grace-period -d x
  service create --mode foo x
  service create --mode global --replicas 2 x
  service create --mode global --replicas-max-per-node 2 x
  service create --name x --env
  service create -e
  service create --env = x
  service create --label =x img
  service create --label 'a b=x' img
  service create --detach=foo x
  service create --mount type=bind x
  service create --mount foo x
  service create --mount type=bind,foo=bar x
  service create --mount type=bind,dst=/x,readonly=maybe x
  service create --mount type=tmpfs,dst=/x,volume-nocopy x
  service create --mount type=volume,dst=/x,tmpfs-size=1 x
  service create --mount type=tmpfs,dst=/x,tmpfs-mode=9 x
  service create -p a:b x
  service create -p 80:80:80:90 x
  service create -p 80/foo x
  service create -p mode=bad,target=80 x
  service create -p mode=host,published=80 x
  service create -p mode=host,published=abc,target=80 x
  service create -p mode=host,published=70000,target=80 x
  service create -p mode=host,foo=80,target=80 x
  service create --network alias=a x
  service create --network name=back,foo=bar x
  service create --network name=back,bar x
  service create --network name=back,driver-opt=x x
  service create -p mode=ingress,target=80,published=1,foo=2 x
  service create -p 8000-8001:80-82 x
  service create -p 80:a x
  service create -p 90000:80 x
  network create
  network create a b
  network create --subnet
  network create --subnet 10.1.0.0/24 --subnet 10.1.0.0/25 x
  network create --gateway 10.1.0.1 x
  network create --ip-range 10.1.0.0/25 x
  network create --subnet 10.1.0.0/24 --gateway 10.2.0.1 x
  network create --subnet 10.1.0.0/24 --ip-range 10.2.0.0/25 x
  network create --subnet 10.1.0.0/24 --ip-range bad x
  network create --subnet 10.1.0.0/24 --aux-address a=10.2.0.9 x
  network create --subnet 10.1.0.0/24 --subnet 10.2.0.0/24 --gateway 10.1.0.1 --gateway 10.1.0.2 x
  network create --subnet 10.1.0.0/24 --subnet 10.2.0.0/24 --ip-range 10.1.0.0/25 --ip-range 10.1.0.128/25 x
  network create --attachable=maybe x
  network create --aux-address x
  network create --label =x y
  network inspect
  network ls extra
  network ls --filter foo
  network rm
  network prune extra
  service create --placement-pref foo x
  service create --placement-pref binpack=x x
  service create --env-file /does/not/exist x
  service create --oom-score-adj 1.5 x
  service create --ulimit foo x
  service create --ulimit foo=1 x
  service create --ulimit nofile=2:1 x
  service create --host foo x
  service create --host foo:bar x
  service create --dns 1.2.3 x
  service create --dns-search 'a b' x
  service create --entrypoint 'sh "x' x
  service update
  service update a b
  service inspect
  service ps
  service rm
  service scale
  service logs
  service logs nope
  node ls --filter foo
  node rm
  node promote
  node demote
  node promote --role x
  node update
  node inspect
  swarm join
  swarm join-token
  swarm leave extra
  swarm init --availability foo
  --bogus
  -H
`);

export const HELP_CASES = lines(`
  node demote --help
  node inspect --help
  node ls --help
  node promote --help
  node ps --help
  node rm --help
  node update --help
  service create --help
  service inspect --help
  service logs --help
  service ls --help
  service ps --help
  service rm --help
  service scale --help
  service update --help
  swarm ca --help
  swarm init --help
  swarm join --help
  swarm join-token --help
  swarm leave --help
  swarm update --help
  network create --help
  network inspect --help
  network ls --help
  network prune --help
  network rm --help
  info --help
  version --help
`);

/** What is sent to create a network. */
export const NETWORK_REQUEST_CASES = lines(`
  network create -d overlay x
  network create --driver overlay --attachable --internal --ipv6 --label a=b --label c --opt encrypted -o k=v=w --scope swarm x
  network create -d overlay --subnet 10.1.0.0/24 --gateway 10.1.0.9 --ip-range 10.1.0.128/25 --aux-address a=10.1.0.3 --aux-address b=10.1.0.4 x
  network create -d overlay --subnet 10.1.0.0/24 --subnet=10.2.0.0/16 --gateway 10.2.0.1,10.1.0.1 --ip-range 10.2.3.0/24 --aux-address r=10.2.0.3 x
  network create -d overlay --subnet 10.1.0.0/24,fd00:1::/64 --ipv6 --gateway fd00:1::1 x
  network create -d overlay --ingress --subnet 10.9.0.0/16 ingress2
  network create -d macvlan --subnet 192.168.1.0/24 -o parent=eth1 --ipam-driver default --ipam-opt overlap=allow lan
`);

/** Whose request, not whose output, is kept: the spec that the flags make. */
export const REQUEST_CASES = lines(`
  service create -d --no-resolve-image --name x busybox
  service create -d --no-resolve-image --name x --replicas 0 busybox:1.36 sh -c 'sleep 1' --name y
  service create -d --no-resolve-image --name x --mode global --constraint node.role==worker busybox
  service create -d --no-resolve-image --name x --cap-add net_admin --cap-add CAP_SYS_TIME --cap-drop chown --ulimit nofile=10:20 --ulimit core=0 --sysctl net.core.somaxconn=5 --sysctl a --host h:1.2.3.4 --dns 1.1.1.1 --dns-option ndots:1 --dns-search a.b --group g busybox
  service create -d --no-resolve-image --name x --cap-add ALL --cap-drop NET_RAW --cap-drop ALL busybox
  service create -d --no-resolve-image --name x --tty --init --read-only --limit-cpu 0.5 --limit-memory 64m --limit-pids 5 --reserve-cpu 1/4 --reserve-memory 10m --stop-signal INT --stop-grace-period 1m30s -u 1:2 -w /w --hostname hn --oom-score-adj -5 busybox
  service create -d --no-resolve-image --name x -e A=1 -e A=2 -e STARLING_REFERENCE -e NOT_SET_ANYWHERE --env B=c=d --label l --label m=n --container-label c=d busybox
  service create -d --no-resolve-image --name x --constraint b==c --constraint a==b --placement-pref spread=node.labels.z --replicas-max-per-node 2 --restart-max-attempts 3 --restart-window 1h --restart-condition on-failure busybox
  service create -d --no-resolve-image --name x --update-parallelism 0 --update-order start-first --update-failure-action continue --update-max-failure-ratio 0.5 --rollback-monitor 20s --rollback-delay 1s busybox
  service create -d --no-resolve-image --name x --log-driver json-file --log-opt max-size=1m --log-opt max-file=2 busybox
  service create -d --no-resolve-image --name x --mount type=bind,src=/a,dst=/x,ro,bind-propagation=rslave,bind-nonrecursive --mount src=v,dst=/y,volume-nocopy,volume-opt=a=b,volume-label=k=v,volume-driver=local --mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700 --mount 'type=bind,"src=/with,comma",target=/z,readonly=false' busybox
  service create -d --no-resolve-image --name x --entrypoint 'sh -c "a b"' busybox a -b
  service create -d --no-resolve-image --name x --publish mode=host,target=5,published=6 --publish published=7,target=8,protocol=udp,mode=host busybox
  service update -d --no-resolve-image capable
  service update -d --no-resolve-image --force --image nginx capable
  service update -d --no-resolve-image --cap-add CHOWN capable
  service update -d --no-resolve-image --cap-drop NET_ADMIN capable
  service update -d --no-resolve-image --cap-add FOWNER --cap-drop SETUID capable
  service update -d --no-resolve-image --cap-add RESET capable
  service update -d --no-resolve-image --cap-drop RESET --cap-drop KILL capable
  service update -d --no-resolve-image --cap-add ALL capable
  service update -d --no-resolve-image --cap-add NET_ADMIN --cap-drop NET_ADMIN capable
  service update -d --no-resolve-image --host-rm a capable
  service update -d --no-resolve-image --host-rm a:1.2.3.4 --host-add z:9.9.9.9 capable
  service update -d --no-resolve-image --ulimit-add nofile=7 --ulimit-rm core capable
  service update -d --no-resolve-image --sysctl-rm kernel.msgmax --sysctl-add z=5 capable
  service update -d --no-resolve-image --group-rm g1 --group-add g0 capable
  service update -d --no-resolve-image --dns-rm 1.1.1.1 --dns-add 2.2.2.2 --dns-option-rm o1 --dns-search-add s0 capable
  service update -d --no-resolve-image --mount-add type=tmpfs,dst=/aaa --mount-add src=vol2,dst=/data --mount-rm /dst capable
  service update -d --no-resolve-image --restart-condition none --restart-delay 1s --restart-window 3s capable
  service update -d --no-resolve-image --log-driver none capable
  service update -d --no-resolve-image --limit-cpu 2 --limit-memory 1g --reserve-cpu 0.1 capable
  service update -d --no-resolve-image --limit-cpu 0 web
  service update -d --no-resolve-image --placement-pref-add spread=node.labels.b --placement-pref-rm spread=node.labels.zone web
  service update -d --no-resolve-image --constraint-add c==d --constraint-add a==a --constraint-rm node.role==worker web
  service update -d --no-resolve-image --args 'x "y z"' --entrypoint sh --env-add A=3 --env-rm B --label-rm a --label-add q=r --container-label-rm c --container-label-add e capable
  service update -d --no-resolve-image --args '' capable
  service update -d --no-resolve-image --replicas 5 --replicas-max-per-node 4 --update-parallelism 3 --update-delay 0s web
  service update -d --no-resolve-image --tty --read-only --init=true --stop-grace-period 3s --stop-signal HUP --user u --workdir /x --hostname h --oom-score-adj 7 capable
  service update -d --no-resolve-image --publish-add mode=host,published=9,target=9 capable
  service create -d --no-resolve-image --name x --network back --endpoint-mode dnsrr busybox
  service create -d --no-resolve-image --name x --network spare --network name=back,alias=a,alias=b,driver-opt=k=v busybox
  service create -d --no-resolve-image --name x --network host busybox
  service create -d --no-resolve-image --name x -p 8080:80 --publish 53:53/udp -p 5000 -p 90:90/sctp busybox
  service create -d --no-resolve-image --name x -p 8000-8002:80 --publish published=81,target=82,mode=ingress,protocol=tcp --publish target=7 busybox
  service update -d --no-resolve-image --network-add spare --network-rm back web
  service update -d --no-resolve-image --network-add name=spare,alias=z web
  service update -d --no-resolve-image --network-rm w2back web
  service update -d --no-resolve-image --network-add back capable
  service update -d --no-resolve-image --endpoint-mode dnsrr capable
  service update -d --no-resolve-image --publish-add 9090:90 --publish-rm 80 web
  service update -d --no-resolve-image --publish-add 100-102:10 --publish-rm 53/udp --publish-rm mode=host,target=9000 web
`);
