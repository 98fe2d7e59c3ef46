#!/usr/bin/env bash
# EXPECTED: Ansible's "unreachable" (and ansible-playbook's exit code 4) says that no connection to the host came about.
# REALITY: with `connection: local`, where there is nothing to reach, a host is UNREACHABLE when its temporary directory cannot
#   be made, and when `su` waits for a password that nobody gave. A become program that does not exist is a failure.
# WHERE: whoever retries, drains or reports hosts by "unreachable": the network is searched for what is a full or read-only
#   directory, or a password that is missing.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root, to become a user whose su asks for a password"; exit 1; }
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
PY=/usr/bin/python3                                          # one that any user may run
python3 -m pip install -q --target "$T/p" --only-binary=:all: --no-compile \
    --python-version "$($PY -c 'import sys; print("%d.%d" % sys.version_info[:2])')" ansible-core==2.19.14 2>/dev/null
cat >play.yml <<'END'
- hosts: localhost
  connection: local
  gather_facts: false
  become_method: su
  tasks: [{command: id}]
END
mkdir home; chmod 755 "$T"; chown 65534 home

play() {  # label, further settings of the environment and words
    local label=$1 code=0; shift
    setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$T/home" PYTHONPATH="$T/p" ANSIBLE_TIMEOUT=3 \
        ANSIBLE_LOCALHOST_WARNING=False "$@" >out 2>&1 </dev/null || code=$?
    echo "$label: exit code $code, $(grep -oE 'unreachable=[0-9]+ +failed=[0-9]+' out | tr -s ' ')"
    sed -n 's/.*"msg": "\([^"\\]*\).*/    \1/p' out | cut -c1-110
}
ansible=("$PY" -m ansible playbook -i localhost, play.yml)
"$PY" -c 'import sys; sys.path.insert(0, "p"); import ansible; print("ansible-core", ansible.__version__)'
{
    play "as it is" ANSIBLE_REMOTE_TEMP="$T/home/tmp" "${ansible[@]}"
    play "a directory that cannot be made" ANSIBLE_REMOTE_TEMP=/proc/none "${ansible[@]}"
    play "su without a password" ANSIBLE_REMOTE_TEMP="$T/home/tmp" "${ansible[@]}" --become
    play "a program that does not exist" ANSIBLE_REMOTE_TEMP="$T/home/tmp" "${ansible[@]}" --become -e ansible_become_exe=/none
} | tee seen
grep -q '^as it is: exit code 0, unreachable=0 failed=0' seen
grep -q '^a directory that cannot be made: exit code 4, unreachable=1 failed=0' seen
grep -q '^su without a password: exit code 4, unreachable=1 failed=0' seen
grep -q '^a program that does not exist: exit code 2, unreachable=0 failed=1' seen
echo "as described: this very host was unreachable, twice"
