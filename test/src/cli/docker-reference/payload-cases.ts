/** Command lines about secrets and configs. */
import { lines } from './cases.ts';

export const PAYLOAD_CASES = lines(`
  secret ls
  secret list -q
  secret ls --format json
  secret ls --format '{{.ID}} {{.Name}} {{.Driver}}|{{.CreatedAt}}|{{.UpdatedAt}} {{.Labels}} {{.Label "team"}}'
  secret ls --format 'table {{.Name}}\\t{{.Labels}}\\t{{.Label "team"}}'
  secret ls --filter name=db2
  secret ls --filter label=team --filter id=x1
  secret ls --filter name=nothing
  secret ls extra
  secret inspect db2
  secret inspect --format '{{.Spec.Name}} {{.Spec.Labels}} {{json .Spec.Templating}} {{.ID}} {{.Version.Index}}' db10
  secret inspect --format '{{.Spec.Foo}}' db2
  secret inspect nope
  secret inspect nope db2
  secret inspect --pretty --format x db2
  secret inspect --pretty db10
  secret inspect
  secret rm db2
  secret rm nope db2
  secret rm nope nada
  secret rm
  secret create
  secret create a b c
  secret create x /nonexistent/file
  secret create x /
  secret create --bogus x -
  secret create -l a=b db2 /etc/hostname
  config ls
  config ls --format json
  config ls --format '{{.ID}} {{.Name}} {{.CreatedAt}}|{{.UpdatedAt}} {{.Labels}} {{.Label "team"}}'
  config ls -q --filter name=nginx
  config inspect nginx
  config inspect --format '{{.Spec.Name}} {{.Spec.Templating.Name}} {{.Spec.Data}}' nginx
  config inspect nope
  config inspect --pretty --format x nginx
  config inspect --pretty app.conf nginx
  config rm nginx
  config rm nope nginx
  config create
  config create x
  config create x /nonexistent/file
  config create nginx /etc/hostname
`);

export const PAYLOAD_HELP_CASES = lines(`
  secret create --help
  secret inspect --help
  secret ls --help
  secret rm --help
  config create --help
  config inspect --help
  config ls --help
  config rm --help
`);

/** Whose request, not whose output, is kept: the spec that the flags make. */
export const PAYLOAD_REQUEST_CASES = lines(`
  service create -d --no-resolve-image --name x --secret db2 --config nginx busybox
  service create -d --no-resolve-image --name x --secret source=db2,target=/etc/key,uid=5,gid=6,mode=0400 --secret src=db10 busybox
  service create -d --no-resolve-image --name x --config source=nginx,target=/etc/nginx.conf,mode=256 --config src=app.conf,target=sub/app.conf,uid=7 busybox
`);
