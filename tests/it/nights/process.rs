//! The program as a process: at work, and how it ended.

use std::process::{Child, Command, Output};

use crate::common::canaries;

/// How the program ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ended {
    pub(super) fn of(output: Output) -> Self {
        canaries::none_in(&output.stdout, "standard output");
        canaries::none_in(&output.stderr, "standard error");
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Fails with everything that was said, unless it ended so.
    #[track_caller]
    pub(super) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// A process that does not outlive its test.
pub(super) struct Running(pub(super) Child);

impl Running {
    pub(super) fn start(command: &mut Command) -> Self {
        let child = command.spawn().unwrap();
        canaries::none_in_command_line(child.id());
        Self(child)
    }

    pub(super) fn end(mut self) -> Ended {
        let mut output = (Vec::new(), Vec::new());
        // One pipe after the other is enough for what fits into a pipe's buffer.
        std::io::copy(self.0.stdout.as_mut().unwrap(), &mut output.0).unwrap();
        std::io::copy(self.0.stderr.as_mut().unwrap(), &mut output.1).unwrap();
        Ended::of(Output {
            status: self.0.wait().unwrap(),
            stdout: output.0,
            stderr: output.1,
        })
    }

    pub(super) fn ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    pub(super) fn terminate(&self) {
        self.signal("-TERM");
    }

    pub(super) fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("/bin/kill").args([name, &id]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
