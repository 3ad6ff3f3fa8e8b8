#!/bin/sh
# count_tests of tools/setup.sh, with a report as ctest 3.25 and two as GoogleTest 1.12 write them: what passed, failed and
# was skipped, and why.
set -eu
. "$(dirname "$0")/../tools/setup.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Programs that are told here only what they ended with; then one test each, of GoogleTest and of scripts.
cat >"$folder/tests.xml" <<'EOF'
<?xml version="1.0" encoding="UTF-8"?>
	<testcase name="a_test.0" classname="a_test.0" time="1" status="run">
		<system-out>/a_test.cpp:9: Skipped
counted in the report of the program
</system-out>
	</testcase>
	<testcase name="b_test.0" classname="b_test.0" time="1" status="fail">
		<failure message=""/>
		<system-out></system-out>
	</testcase>
	<testcase name="c_test.0" classname="c_test.0" time="1" status="run">
		<system-out>it ended before its report</system-out>
	</testcase>
	<testcase name="One.Passes" classname="One.Passes" time="1" status="run">
		<system-out>skipped: not this one</system-out>
	</testcase>
	<testcase name="One.IsSkipped" classname="One.IsSkipped" time="1" status="notrun">
		<skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>
		<properties/>
		<system-out>[ RUN      ] One.IsSkipped
/one_test.cpp:12: Skipped
"/data" &amp; more is absent

[  SKIPPED ] One.IsSkipped (0 ms)
</system-out>
	</testcase>
	<testcase name="Page.Script" classname="Page.Script" time="1" status="notrun">
		<skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>
		<properties/>
		<system-out>-- skipped: no browser
skipped: nor anything else
</system-out>
	</testcase>
	<testcase name="Clients.script" classname="Clients.script" time="1" status="notrun">
		<skipped message="SKIP_RETURN_CODE=77"/>
		<properties/>
		<system-out>it says nothing</system-out>
	</testcase>
	<testcase name="Clients.missing" classname="Clients.missing" time="0" status="notrun">
		<skipped message="Unable to find executable"/>
		<system-out>skipped: no, it failed</system-out>
	</testcase>
EOF
mkdir "$folder/gtest"
cat >"$folder/gtest/a_test.0.xml" <<'EOF'
    <testcase name="Passes" file="/a_test.cpp" line="1" status="run" result="completed" time="0" classname="A" />
    <testcase name="IsSkipped" file="/a_test.cpp" line="8" status="run" result="skipped" time="0" classname="A">
      <skipped message="/a_test.cpp:9&#x0A;&quot;/data&quot; is absent"><![CDATA[/a_test.cpp:9
"/data" is absent]]></skipped>
    </testcase>
    <testcase name="DISABLED_Is" file="/a_test.cpp" line="20" status="notrun" result="suppressed" time="0" classname="A" />
EOF
cat >"$folder/gtest/b_test.0.xml" <<'EOF'
    <testcase name="Fails" file="/b_test.cpp" line="1" status="run" result="completed" time="0" classname="B">
      <failure message="one" type=""></failure>
      <failure message="two" type=""></failure>
    </testcase>
    <testcase name="Passes" file="/b_test.cpp" line="9" status="run" result="completed" time="0" classname="B" />
EOF

expect() {
  [ "$2" = "$3" ] && return
  printf '%s: expected\n%s\ngot\n%s\n' "$1" "$2" "$3"
  exit 1
}
expect "tests, failed, skipped" "11 3 5" "$(count_tests "$folder/tests.xml" "$folder/gtest" "$folder/skipped")"
expect "reasons" 'A.IsSkipped: "/data" is absent
A.DISABLED_Is: gives no reason
One.IsSkipped: "/data" & more is absent
Page.Script: no browser
Clients.script: gives no reason' "$(cat "$folder/skipped")"
