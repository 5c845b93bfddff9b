#pragma once

/// Lets the process of the tests end only when its threads are at rest. Works by being linked.
