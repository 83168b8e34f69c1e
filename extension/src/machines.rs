//! Compiled machines, kept per backend. The key is the machine's own stored bytes, so nothing can
//! go stale: another machine is another key.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use bindery_core::machine::Machine;
use pgrx::pg_sys::panic::ErrorReport;

use crate::jsonb::JsonbArg;

/// More pipelines than one backend meets; beyond it the cache is emptied, so that its size is
/// bounded.
const CAPACITY: usize = 256;

thread_local! {
    static MACHINES: RefCell<HashMap<Box<[u8]>, Rc<Machine>>> = RefCell::default();
}

/// The machine in `argument`, read once per backend.
pub fn machine(argument: &JsonbArg<'_>) -> Result<Rc<Machine>, ErrorReport> {
    if let Some(known) = MACHINES.with_borrow(|machines| machines.get(argument.bytes()).cloned()) {
        return Ok(known);
    }
    let machine: Rc<Machine> =
        Rc::new(argument.read("machine", "this is not a compiled pipeline")?);
    MACHINES.with_borrow_mut(|machines| {
        if machines.len() >= CAPACITY {
            machines.clear();
        }
        machines.insert(argument.bytes().into(), Rc::clone(&machine));
    });
    Ok(machine)
}
